//! Arguments of `etcd`.

use clap::{Args, Subcommand};

use crate::cli::common::ClientFlags;

/// `etcd`
#[derive(Debug, Args)]
pub struct Etcd {
    /// How to reach nodes.
    #[command(flatten)]
    pub client: ClientFlags,
    /// What to do.
    #[command(subcommand)]
    pub command: EtcdAction,
}

/// What `etcd` can do.
#[derive(Debug, Subcommand)]
pub enum EtcdAction {
    /// Show and disarm alarms
    Alarm {
        /// What to do.
        #[command(subcommand)]
        command: AlarmAction,
    },
    /// Rewrite the database without unused space, one node after the other
    Defrag,
    /// Prepare the cluster for going back to an older version of etcd
    Downgrade {
        /// What to do.
        #[command(subcommand)]
        command: DowngradeAction,
    },
    /// Hand leadership to another member
    ForfeitLeadership,
    /// Let a node leave: its member is removed, its data deleted
    Leave,
    /// List the members
    Members,
    /// Remove a member whose node is gone; ask another control plane to do it
    RemoveMember {
        /// Its ID, as `etcd members` shows it
        #[arg(value_name = "MEMBER ID", value_parser = member_id)]
        id: u64,
    },
    /// Save a snapshot of the database in a file
    Snapshot {
        /// The file; one that exists is replaced when the snapshot is complete
        #[arg(value_name = "PATH")]
        path: String,
    },
    /// Show the status of members
    Status,
}

/// What `etcd alarm` can do.
#[derive(Debug, Subcommand)]
pub enum AlarmAction {
    /// Disarm all alarms
    Disarm,
    /// List alarms
    List,
}

/// What `etcd downgrade` can do.
#[derive(Debug, Subcommand)]
pub enum DowngradeAction {
    /// End a downgrade that was enabled
    Cancel,
    /// Enable a downgrade
    Enable {
        /// Version to go back to, as 3.6
        #[arg(value_name = "VERSION")]
        to: String,
    },
    /// Ask whether a downgrade is possible
    Validate {
        /// Version to go back to, as 3.6
        #[arg(value_name = "VERSION")]
        to: String,
    },
}

fn member_id(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|_| "an ID is a hexadecimal number, as `etcd members` shows it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_as_they_are_listed() {
        assert_eq!(member_id("8e9e05c52164694d"), Ok(0x8e9e_05c5_2164_694d));
        assert_eq!(member_id("0x1f"), Ok(31));
        assert!(member_id("cp-1").unwrap_err().contains("etcd members"));
    }
}
