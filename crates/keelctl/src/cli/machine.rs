//! Arguments of commands about what a machine has besides its configuration: an installation, META, disks.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::common::ClientFlags;
use crate::cli::lifecycle::Follow;
use crate::commands::conformance::Mode;
use crate::output::age::parse_duration;

/// `upgrade`
#[derive(Debug, Args)]
pub struct Upgrade {
    /// Installer image of the version to upgrade to
    #[arg(short, long, default_value_t = crate::defaults::INSTALLER.to_owned())]
    pub image: String,
    /// Where the node keeps the image: system, cri or inmem
    #[arg(long, default_value = "system")]
    pub namespace: String,
    /// Use the call of older nodes, which reboots by itself
    #[arg(long)]
    pub legacy: bool,
    /// Do not reboot into the new version
    #[arg(long)]
    pub no_reboot: bool,
    /// How to reboot: default or powercycle (no kexec)
    #[arg(short = 'm', long, default_value = "default", value_parser = ["default", "powercycle"])]
    pub reboot_mode: String,
    /// Cordon and drain the Kubernetes node first
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub drain: bool,
    /// How long draining may take
    #[arg(long, default_value = "5m0s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
    /// auto or plain
    #[arg(long, default_value = "auto", value_parser = ["auto", "plain"])]
    pub progress: String,
    /// Following it.
    #[command(flatten)]
    pub follow: Follow,
}

/// `meta`
#[derive(Debug, Args)]
pub struct Meta {
    /// How to reach nodes.
    #[command(flatten)]
    pub client: ClientFlags,
    /// Talk to a node in maintenance mode, without client certificate
    #[arg(short, long, global = true)]
    pub insecure: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: MetaAction,
}

/// What `meta` can do.
#[derive(Debug, Subcommand)]
pub enum MetaAction {
    /// Write a value of META
    Write {
        /// Its key, a number: 10 or 0x0a
        #[arg(value_parser = meta_key)]
        key: u8,
        /// The value
        value: String,
    },
    /// Delete a value of META
    Delete {
        /// Its key, a number: 10 or 0x0a
        #[arg(value_parser = meta_key)]
        key: u8,
    },
}

fn meta_key(text: &str) -> Result<u8, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "a key is a number from 0 to 255, as 10 or 0x0a".to_owned())
}

/// `wipe`
#[derive(Debug, Args)]
pub struct Wipe {
    /// How to reach nodes.
    #[command(flatten)]
    pub client: ClientFlags,
    /// What to wipe.
    #[command(subcommand)]
    pub command: WipeAction,
}

/// What `wipe` can do.
#[derive(Debug, Subcommand)]
pub enum WipeAction {
    /// Wipe disks or partitions that nothing uses
    Disk {
        /// Names of devices, as `vda` or `vda1`
        #[arg(value_name = "DEVICE", required = true)]
        devices: Vec<String>,
        /// Remove wiped partitions too
        #[arg(long)]
        drop_partition: bool,
        /// Talk to a node in maintenance mode, without client certificate
        #[arg(short, long)]
        insecure: bool,
        /// FAST (only what tells what is on the disk) or ZEROES (all of it)
        #[arg(long, default_value = "FAST", ignore_case = true, value_parser = ["FAST", "ZEROES"])]
        method: String,
    },
}

/// `conformance`
#[derive(Debug, Args)]
pub struct Conformance {
    /// How to reach nodes.
    #[command(flatten)]
    pub client: ClientFlags,
    /// What to run.
    #[command(subcommand)]
    pub command: ConformanceAction,
}

/// What `conformance` can run.
#[derive(Debug, Subcommand)]
pub enum ConformanceAction {
    /// Run the conformance tests of Kubernetes
    #[command(visible_alias = "k8s")]
    Kubernetes {
        /// Which tests
        #[arg(long, value_enum, default_value = "fast")]
        mode: Mode,
        /// The tests' image, where it is not at its usual place (not in talosctl) [default:
        /// registry.k8s.io/conformance, at the version of the cluster]
        #[arg(long)]
        image: Option<String>,
        /// File for the results, a tar.gz (not in talosctl) [default: conformance-VERSION.tar.gz]
        #[arg(short, long, value_name = "PATH")]
        output: Option<PathBuf>,
    },
}

/// `inject`
#[derive(Debug, Args)]
pub struct Inject {
    /// What to add.
    #[command(subcommand)]
    pub command: InjectAction,
}

/// What `inject` can do.
#[derive(Debug, Subcommand)]
pub enum InjectAction {
    /// Give the pods of Kubernetes manifests access to the machine API, and print the manifests
    #[command(name = "serviceaccount", visible_alias = "sa")]
    ServiceAccount {
        /// File with the manifests, `-` for standard input
        #[arg(short, long, value_name = "PATH")]
        file: String,
        /// Roles the pods get
        #[arg(short, long, value_delimiter = ',', default_value = "os:reader")]
        roles: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_meta_are_numbers_of_one_byte() {
        assert_eq!(meta_key("10"), Ok(10));
        assert_eq!(meta_key("0x0a"), Ok(10));
        assert!(meta_key("256").unwrap_err().contains("0 to 255"));
    }
}
