//! The way of the nodes to the outside: masquerading, and being let through a firewall that drops what it forwards.

use crate::error::Result;
use crate::names::Names;
use crate::options::Subnet;
use crate::progress::{Event, Progress};
use crate::tool;

/// Sets up what the host's programs allow and tells what is missing. Without masquerading the cluster works, but its
/// nodes reach nothing but this machine.
pub(crate) async fn open(names: &Names, subnet: Subnet, progress: Progress<'_>) -> Result<()> {
    let bridge = names.bridge();
    if let Some(nft) = tool::find("nft") {
        tool::run(&nft, &["-f", "-"], &rules(&names.filter_table(), &bridge, subnet)).await?;
    } else if let Some(iptables) = tool::find("iptables") {
        run(&iptables, &masquerade("-A", &bridge, subnet, &names.filter_table())).await?;
    } else {
        let text = "neither nft nor iptables is installed: nodes reach this machine only, nothing beyond it \
                    (apt-get install nftables)";
        progress(Event::Warning(text.to_owned()));
    }
    if let Some(iptables) = tool::find("iptables")
        && forwarding_is_dropped(&iptables).await
    {
        for rule in forward("-I", &bridge, &names.filter_table()) {
            run(&iptables, &rule).await?;
        }
    }
    Ok(())
}

/// Removes what [`open`] made; what is not there is no error.
pub(crate) async fn close(names: &Names, subnet: Option<Subnet>) -> Result<()> {
    let table = names.filter_table();
    if let Some(nft) = tool::find("nft") {
        let tables = tool::run(&nft, &["list", "tables"], "").await?;
        if tables.lines().any(|line| line.trim() == format!("table ip {table}")) {
            tool::run(&nft, &["delete", "table", "ip", &table], "").await?;
        }
    }
    let Some(iptables) = tool::find("iptables") else {
        return Ok(());
    };
    if let Some(subnet) = subnet {
        remove(&iptables, &masquerade("-D", &names.bridge(), subnet, &table)).await;
    }
    for rule in forward("-D", &names.bridge(), &table) {
        remove(&iptables, &rule).await;
    }
    Ok(())
}

/// What stays inside the network, or goes out through the bridge to another node's pods, keeps its address.
fn rules(table: &str, bridge: &str, subnet: Subnet) -> String {
    format!(
        "table ip {table} {{\n\
         \tchain postrouting {{\n\
         \t\ttype nat hook postrouting priority 100; policy accept;\n\
         \t\tip saddr {subnet} ip daddr != {subnet} oifname != \"{bridge}\" masquerade\n\
         \t}}\n\
         }}\n"
    )
}

/// The same for iptables, to append (`-A`) or delete (`-D`).
fn masquerade(action: &str, bridge: &str, subnet: Subnet, comment: &str) -> String {
    format!(
        "-w 5 -t nat {action} POSTROUTING -s {subnet} ! -d {subnet} ! -o {bridge} \
         -m comment --comment {comment} -j MASQUERADE"
    )
}

/// Lets packets from and to the bridge through, to insert (`-I`) or delete (`-D`).
fn forward(action: &str, bridge: &str, comment: &str) -> [String; 2] {
    ["-i", "-o"]
        .map(|direction| format!("-w 5 {action} FORWARD {direction} {bridge} -m comment --comment {comment} -j ACCEPT"))
}

/// A policy or rule of another program (container engines set it) that would drop the nodes' packets.
async fn forwarding_is_dropped(iptables: &std::path::PathBuf) -> bool {
    let listed = tool::run(iptables, &["-w", "5", "-S", "FORWARD"], "").await;
    listed.is_ok_and(|rules| rules.lines().any(|rule| rule == "-P FORWARD DROP"))
}

async fn run(iptables: &std::path::PathBuf, arguments: &str) -> Result<()> {
    // None of the parts contains a space: names of clusters and links cannot.
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    tool::run(iptables, &arguments, "").await.map(drop)
}

/// Deletes a rule as often as it is there; the last attempt fails because there is none left.
async fn remove(iptables: &std::path::PathBuf, arguments: &str) {
    for _ in 0..8 {
        if run(iptables, arguments).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_inside_the_network_keep_their_address() {
        let subnet: Subnet = "10.5.0.0/24".parse().unwrap();
        let rule = "ip saddr 10.5.0.0/24 ip daddr != 10.5.0.0/24 oifname != \"kl1\" masquerade";
        assert!(rules("keelson_1", "kl1", subnet).contains(rule));
        assert!(masquerade("-A", "kl1", subnet, "c").contains("-s 10.5.0.0/24 ! -d 10.5.0.0/24 ! -o kl1"));
    }
}
