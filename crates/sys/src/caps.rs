//! Capabilities: names, and what this process has.

pub use rustix::thread::CapabilitySet;

use crate::{Context, Error, Result};

/// Every capability this crate knows, one by one.
pub fn all() -> impl Iterator<Item = CapabilitySet> {
    CapabilitySet::all().iter()
}

/// Reads names as `CAP_NET_ADMIN` or `NET_ADMIN`.
pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<CapabilitySet> {
    let mut set = CapabilitySet::empty();
    for name in names {
        let name = name.as_ref();
        let upper = name.to_uppercase();
        let flag = CapabilitySet::from_name(upper.strip_prefix("CAP_").unwrap_or(&upper));
        set |= flag.ok_or_else(|| Error::new("read a capability", format!("there is no capability {name:?}")))?;
    }
    Ok(set)
}

/// True where this thread can use all of `wanted` now.
pub fn has(wanted: CapabilitySet) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}

/// True where OOM scores can be lowered and hard limits raised. Many hosts give root no CAP_SYS_RESOURCE.
pub fn has_sys_resource() -> bool {
    has(CapabilitySet::SYS_RESOURCE)
}

/// What a program needs to make nodes of namespaces, with the error a person can act on.
pub fn require_root(what: &str) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::new(
            what,
            "this needs root: it makes namespaces, mounts and network links (use sudo)",
        ));
    }
    let needed = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN | CapabilitySet::MKNOD;
    let own = rustix::thread::capabilities(None).doing(|| "read the capabilities")?;
    let missing = needed - own.effective;
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = missing.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
    Err(Error::new(
        what,
        format!(
            "root lacks {} here (in a container, run it privileged)",
            names.join(", ")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_known_by_both_spellings() {
        assert_eq!(
            parse(&["CAP_NET_ADMIN", "sys_time"]).unwrap(),
            CapabilitySet::NET_ADMIN | CapabilitySet::SYS_TIME
        );
        assert!(parse(&["CAP_FLY"]).unwrap_err().to_string().contains("CAP_FLY"));
    }
}
