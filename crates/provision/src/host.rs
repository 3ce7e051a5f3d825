//! Settings of the whole machine that nodes need. They stay when the cluster goes: others may have come to need them.

use std::path::Path;

use crate::error::Result;
use crate::progress::{Event, Progress};
use crate::tool;

/// Every node has watchers of its own, and they count together: enough for dozens of nodes.
const INOTIFY_INSTANCES: u64 = 8192;

/// Lets packets of nodes through.
pub(crate) fn enable_forwarding(progress: Progress<'_>) -> Result<()> {
    if sys::net::enable_forwarding()? {
        progress(Event::Warning(
            "switched on forwarding of packets on this machine (net.ipv4.ip_forward)".to_owned(),
        ));
    }
    Ok(())
}

/// Lets enough processes watch files. A few nodes work without it, so that is no error.
pub(crate) fn raise_inotify(progress: Progress<'_>) {
    let key = "fs.inotify.max_user_instances";
    match sys::sysctl::raise(key, INOTIFY_INSTANCES) {
        Ok(Some(old)) => progress(Event::Warning(format!(
            "raised {key} on this machine from {old} to {INOTIFY_INSTANCES}"
        ))),
        Ok(None) => {}
        Err(error) => progress(Event::Warning(error.to_string())),
    }
}

/// What is there once packets that cross a bridge go through the rules for packets.
const BRIDGE_FILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// Has packets between pods of one node go through the rules for services. With many kernels that takes a module that
/// nothing loads by itself; a node may not, and flannel ends at once without it. Other pod networks do not need it, so its
/// absence is no error.
pub(crate) async fn filter_bridges(progress: Progress<'_>) {
    if Path::new(BRIDGE_FILTER).exists() {
        return;
    }
    let loaded = match tool::find("modprobe") {
        Some(modprobe) => tool::run(&modprobe, &["br_netfilter"], "").await.map(drop),
        None => Err(sys::Error::new("load it", "there is no modprobe (package kmod)").into()),
    };
    progress(Event::Warning(match loaded {
        Ok(()) => "loaded the kernel module br_netfilter on this machine".to_owned(),
        Err(error) => format!(
            "the kernel module br_netfilter is not loaded, and pods of flannel, the usual pod network, end without it: {error}"
        ),
    }));
}
