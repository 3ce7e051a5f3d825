//! Which defaults a generated configuration has, by the version of the machine API it is for.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// A version of the machine API: `v1.6`, `v1.13.2`. Newer defaults are used only from the version on that knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contract {
    /// Major number; 1.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
}

impl Contract {
    /// The version this release implements.
    pub const CURRENT: Self = Self { major: 1, minor: 13 };
    /// The oldest version configurations can be generated for.
    pub const OLDEST: Self = Self { major: 1, minor: 0 };

    fn since(self, minor: u16) -> bool {
        self >= Self { major: 1, minor }
    }

    /// Settings that have documents of their own (host name, mirrors, mesh) are written as such.
    pub fn has_documents(self) -> bool {
        self.since(12)
    }

    /// Secrets in etcd are encrypted with secretbox; before, with AES-CBC.
    pub fn has_secretbox(self) -> bool {
        self.since(3)
    }

    /// Pod security admission is configured.
    pub fn has_pod_security(self) -> bool {
        self.since(1)
    }

    /// Machines get stable names by default.
    pub fn has_stable_hostname(self) -> bool {
        self.since(2)
    }

    /// The Kubernetes discovery registry is off.
    pub fn has_kubernetes_discovery_disabled(self) -> bool {
        self.since(2)
    }

    /// The kubelet's default seccomp profile is on.
    pub fn has_seccomp_default(self) -> bool {
        self.since(2)
    }

    /// Static pods do not come from a folder.
    pub fn has_manifests_directory_disabled(self) -> bool {
        self.since(3)
    }

    /// The API checks what a certificate may be used for.
    pub fn has_extended_key_usage_check(self) -> bool {
        self.since(3)
    }

    /// Disk quotas of pods are supported.
    pub fn has_disk_quota(self) -> bool {
        self.since(5)
    }

    /// The local balancer of API servers is on.
    pub fn has_kube_prism(self) -> bool {
        self.since(6)
    }

    /// The host's DNS cache is on.
    pub fn has_host_dns(self) -> bool {
        self.since(7)
    }

    /// Cluster DNS asks the host's DNS cache.
    pub fn has_host_dns_forwarding(self) -> bool {
        self.since(8)
    }

    /// Control planes are kept out of external load balancers.
    pub fn has_load_balancer_exclusion(self) -> bool {
        self.since(8)
    }

    /// GRUB takes the kernel arguments of the image.
    pub fn has_uki_cmdline(self) -> bool {
        self.since(12)
    }
}

impl Default for Contract {
    fn default() -> Self {
        Self::CURRENT
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.major, self.minor)
    }
}

impl FromStr for Contract {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Contract(text.to_owned());
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let numbers = numbers.split(['-', '+']).next().unwrap_or_default();
        let mut parts = numbers.split('.').map(str::parse::<u16>);
        let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
            return Err(wrong());
        };
        if parts.any(|part| part.is_err()) {
            return Err(wrong());
        }
        let contract = Self { major, minor };
        // Newer patch levels and the next minor are fine: the current defaults are used for them.
        if contract.major != 1 {
            Err(wrong())
        } else {
            Ok(contract.min(Self::CURRENT))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_parse_with_and_without_patch_level() {
        assert_eq!("v1.6".parse::<Contract>().unwrap(), Contract { major: 1, minor: 6 });
        assert_eq!(
            "1.6.3-alpha.0".parse::<Contract>().unwrap(),
            Contract { major: 1, minor: 6 }
        );
        assert_eq!("v1.99".parse::<Contract>().unwrap(), Contract::CURRENT);
        for wrong in ["", "v1", "latest", "v0.14", "v2.0", "v1.x"] {
            assert!(wrong.parse::<Contract>().is_err(), "{wrong}");
        }
    }
}
