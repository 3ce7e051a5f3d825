//! What names of Kubernetes and of machines may look like.

/// A host name: labels of letters, digits and hyphens, 63 characters each; Linux allows 64 for the first.
pub fn hostname(name: &str) -> Result<(), String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 {
        return Err("it is longer than 253 characters".into());
    }
    match name.trim_end_matches('.').split('.').find(|part| !label(part)) {
        None => Ok(()),
        Some("") => Err("it has an empty part".into()),
        Some(part) if part.len() > 63 => Err(format!("the part {part:?} is longer than 63 characters")),
        Some(part) => Err(format!(
            "the part {part:?} has other characters than letters, digits and hyphens between them"
        )),
    }
}

fn is_qualified_part(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// A key of labels, annotations and taints: `[domain/]name`.
pub fn label_key(key: &str) -> Result<(), String> {
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    if let Some(domain) = domain
        && (domain.len() > 253 || hostname(domain).is_err() || domain != domain.to_ascii_lowercase())
    {
        return Err(format!(
            "{domain:?} before the slash is not a domain name in small letters"
        ));
    }
    if is_qualified_part(name) {
        return Ok(());
    }
    Err(format!(
        "{name:?} is not 1 to 63 letters, digits, '-', '_' and '.', with letters or digits at both ends"
    ))
}

/// A value of a label.
pub fn label_value(value: &str) -> Result<(), String> {
    if value.is_empty() || is_qualified_part(value) {
        return Ok(());
    }
    Err(format!(
        "{value:?} is not up to 63 letters, digits, '-', '_' and '.', with letters or digits at both ends"
    ))
}

/// A taint: `value:Effect` or `Effect`.
pub fn taint_value(value: &str) -> Result<(), String> {
    let (value, effect) = value.rsplit_once(':').unwrap_or(("", value));
    if !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
        return Err(format!(
            "{effect:?} is not an effect (NoSchedule, PreferNoSchedule, NoExecute)"
        ));
    }
    label_value(value)
}

/// A kernel parameter: words separated by dots (or slashes).
pub fn sysctl(key: &str) -> Result<(), String> {
    let part = |part: &str| {
        !part.is_empty()
            && part != ".."
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':' | b'@' | b'*'))
    };
    let parts: Vec<&str> = key.split(['.', '/']).collect();
    if parts.len() > 1 && parts.iter().all(|p| part(p)) {
        return Ok(());
    }
    Err("a kernel parameter is written as net.ipv4.ip_forward".into())
}

/// Name of a network link: up to 15 characters without spaces and slashes.
pub fn link(name: &str) -> Result<(), String> {
    match name {
        "" | "." | ".." => Err("it is no name".into()),
        name if name.len() > 15 => Err("it is longer than the 15 characters the kernel allows".into()),
        name if name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control()) => {
            Err("it contains a slash, colon or space".into())
        }
        _ => Ok(()),
    }
}

/// Name of a volume: letters, digits and hyphens, short enough for the label of a partition with its prefix.
pub fn volume(name: &str) -> Result<(), String> {
    // A partition's label has 36 characters, of which two are the prefix that tells the kind of volume.
    if name.is_empty() || name.len() > 34 {
        return Err("it must have 1 to 34 characters".into());
    }
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Ok(());
    }
    Err("it may have letters, digits and hyphens only".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_linux_and_kubernetes_do() {
        assert!(hostname("node-1.example.org").is_ok());
        assert!(hostname("-a").is_err() && hostname("a_b").is_err() && hostname("a..b").is_err());
        assert!(label_key("node.kubernetes.io/exclude-from-external-load-balancers").is_ok());
        assert!(label_key("a/b/c").is_err() && label_key("").is_err() && label_key("Ä").is_err());
        assert!(
            taint_value("NoSchedule").is_ok()
                && taint_value("gpu:NoExecute").is_ok()
                && taint_value("x:Never").is_err()
        );
        assert!(sysctl("net.core.somaxconn").is_ok() && sysctl("net/ipv4/conf/eth0.1/forwarding").is_ok());
        assert!(sysctl("somaxconn").is_err() && sysctl("net..x").is_err());
        assert!(link("eth0").is_ok() && link("averylonglinkname").is_err() && link("a b").is_err());
        assert!(volume("data-1").is_ok() && volume("a/b").is_err());
    }
}
