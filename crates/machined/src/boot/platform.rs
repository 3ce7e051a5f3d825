//! What the machine is: decided once, at start, and visible as a resource.

/// Where the node runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Platform {
    /// In a container: kernel, network and clock are the host's.
    Container,
}

/// What the platform told us at start.
#[derive(Clone, PartialEq, Debug)]
pub struct Environment {
    /// Where the node runs.
    pub platform: Platform,
    /// The machine configuration that came with the machine, decoded.
    pub user_data: Option<Vec<u8>>,
    /// A name for the kind of machine ("2CPU-2048RAM"), for people.
    pub sku: String,
}

/// Why the platform's words cannot be used.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PlatformError {
    /// `PLATFORM` names something this build cannot run on.
    #[error("PLATFORM is {0:?}: only \"container\" is supported (start the node with PLATFORM=container)")]
    Unsupported(String),
    /// `USERDATA` is not base64.
    #[error("USERDATA is not base64 of a machine configuration: {0} (make it with `base64 -w0 controlplane.yaml`)")]
    UserData(String),
}

impl Environment {
    /// Reads the platform's variables through `get`.
    ///
    /// # Errors
    /// A variable that cannot be used, and what it should be.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, PlatformError> {
        match get("PLATFORM").as_deref() {
            Some("container") => {}
            other => return Err(PlatformError::Unsupported(other.unwrap_or_default().to_owned())),
        }
        let user_data = match get("USERDATA").filter(|data| !data.trim().is_empty()) {
            None => None,
            Some(data) => Some(config::user_data::decode(&data).map_err(PlatformError::UserData)?),
        };
        Ok(Self {
            platform: Platform::Container,
            user_data,
            sku: get("TALOSSKU").unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Environment, PlatformError> {
        Environment::read(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn a_container_brings_its_configuration_in_base64() {
        let env = read(&[
            ("PLATFORM", "container"),
            ("USERDATA", "dmVyc2lv\nbjogdjE="),
            ("TALOSSKU", "2CPU-2048RAM"),
        ])
        .unwrap();
        assert_eq!(env.user_data.as_deref(), Some(&b"version: v1"[..]));
        assert_eq!(env.sku, "2CPU-2048RAM");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_what_to_do() {
        assert!(read(&[]).unwrap_err().to_string().contains("PLATFORM=container"));
        let error = read(&[("PLATFORM", "container"), ("USERDATA", "%%%")]).unwrap_err();
        assert!(error.to_string().contains("base64 -w0"));
    }
}
