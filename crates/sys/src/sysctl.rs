//! Kernel parameters: `net.ipv4.ip_forward` is `/proc/sys/net/ipv4/ip_forward`.

use std::path::PathBuf;

use crate::{Context, Result};

/// The file of a parameter. Keys may be written with dots or with slashes; a slash in a dotted key stands for a dot
/// inside a name (`net.ipv4.conf.eth0/100.forwarding`, sysctl(8)).
pub fn path(key: &str) -> PathBuf {
    let dotted = key.find(['.', '/']).is_none_or(|index| key.as_bytes()[index] == b'.');
    let mut path = PathBuf::from("/proc/sys");
    if dotted {
        path.extend(key.split('.').map(|part| part.replace('/', ".")));
    } else {
        path.extend(key.split('/').filter(|part| !part.is_empty() && *part != ".."));
    }
    path
}

/// The value, without the newline at its end.
pub fn read(key: &str) -> Result<String> {
    let text = std::fs::read_to_string(path(key)).doing(|| format!("read the kernel parameter {key}"))?;
    Ok(text.trim_end().to_owned())
}

/// Sets the value.
pub fn write(key: &str, value: &str) -> Result<()> {
    std::fs::write(path(key), value).doing(|| format!("set the kernel parameter {key} to {value}"))
}

/// Raises a number that is lower than `least`; returns the old value where it had to be raised.
pub fn raise(key: &str, least: u64) -> Result<Option<u64>> {
    let now = read(key)?.parse::<u64>().unwrap_or(0);
    if now >= least {
        return Ok(None);
    }
    write(key, &least.to_string()).map(|()| Some(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_paths() {
        assert_eq!(
            path("net.ipv4.ip_forward"),
            PathBuf::from("/proc/sys/net/ipv4/ip_forward")
        );
        assert_eq!(
            path("net/ipv4/conf/eth0.1/x"),
            PathBuf::from("/proc/sys/net/ipv4/conf/eth0.1/x")
        );
        assert_eq!(
            path("net.ipv4.conf.eth0/1.x"),
            PathBuf::from("/proc/sys/net/ipv4/conf/eth0.1/x")
        );
    }

    #[test]
    fn a_parameter_is_read_and_an_unknown_one_named() {
        assert_eq!(read("kernel.ostype").unwrap(), "Linux");
        assert!(
            read("kernel.nonsense")
                .unwrap_err()
                .to_string()
                .contains("kernel.nonsense")
        );
    }
}
