//! Settings of the whole machine that nodes need. They stay when the cluster goes: others may have come to need them.

use crate::error::Result;
use crate::progress::{Event, Progress};

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
