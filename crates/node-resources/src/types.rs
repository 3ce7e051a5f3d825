//! Values that resources of several areas hold.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use pki::{CertAndKey, Secret};
use resource::Message;
use resource::proto::{self, ProtoValue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// For `skip_serializing_if`: what the interface leaves out of YAML when it has nothing to say.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `Debug` for specs with secrets: it prints none of them.
macro_rules! redacted {
    ($name:ident) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(**REDACTED**)"))
            }
        }
    };
}
pub(crate) use redacted;

/// Encodes a certificate with its key.
pub(crate) mod pair {
    use super::{CertAndKey, proto};

    pub(crate) fn encode_field(pair: &CertAndKey, number: u32, out: &mut Vec<u8>) {
        if *pair != CertAndKey::default() {
            proto::nested(number, out, |inner| {
                proto::bytes(&pair.crt, 1, inner);
                proto::bytes(pair.key.expose(), 2, inner);
            });
        }
    }
}

/// Encodes a secret as bytes.
mod secret_bytes {
    use super::{Secret, proto};

    pub(super) fn encode_field(secret: &Secret, number: u32, out: &mut Vec<u8>) {
        if !secret.is_empty() {
            proto::bytes(secret.expose(), number, out);
        }
    }
}

/// A certificate authority that is trusted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(default)]
pub struct AcceptedCA {
    /// The certificate as PEM.
    #[serde(with = "pki::base64_bytes")]
    #[field(1)]
    pub crt: Vec<u8>,
}

impl AcceptedCA {
    /// Several authorities as one PEM text, as TLS and kubeconfigs take them.
    pub fn bundle(authorities: &[Self]) -> Vec<u8> {
        let mut bundle = Vec::new();
        for ca in authorities {
            bundle.extend_from_slice(&ca.crt);
            // What a person wrote need not end its last line.
            if !ca.crt.ends_with(b"\n") {
                bundle.push(b'\n');
            }
        }
        bundle
    }
}

/// The key that signs Kubernetes' service account tokens.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(default)]
pub struct ServiceAccountKey {
    /// The key as PEM.
    #[serde(with = "pki::base64_secret")]
    #[field(1, with = secret_bytes)]
    pub key: Secret,
}

impl From<Secret> for ServiceAccountKey {
    fn from(key: Secret) -> Self {
        Self { key }
    }
}

/// The values of a command-line argument, which may be given more than once.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(default)]
pub struct ArgValues {
    /// In their order.
    #[field(1)]
    pub values: Vec<String>,
}

impl From<Vec<String>> for ArgValues {
    fn from(values: Vec<String>) -> Self {
        Self { values }
    }
}

/// Arguments by name.
pub type ExtraArgs = BTreeMap<String, ArgValues>;

/// A mount of the OCI runtime specification.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(default)]
pub struct Mount {
    /// Where it is seen.
    #[field(1)]
    pub destination: String,
    /// The file system type.
    #[serde(rename = "type")]
    #[field(2)]
    pub ty: String,
    /// What is mounted.
    #[field(3)]
    pub source: String,
    /// Mount options.
    #[field(4)]
    pub options: Vec<String>,
    /// Users of the container and the host.
    #[serde(rename = "uidmappings")]
    #[field(5)]
    pub uid_mappings: Vec<LinuxIdMapping>,
    /// Groups of the container and the host.
    #[serde(rename = "gidmappings")]
    #[field(6)]
    pub gid_mappings: Vec<LinuxIdMapping>,
}

/// Ids of a container and of the host.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(default)]
pub struct LinuxIdMapping {
    /// The first id in the container.
    #[serde(rename = "containerid")]
    #[field(1)]
    pub container_id: u32,
    /// The first id on the host.
    #[serde(rename = "hostid")]
    #[field(2)]
    pub host_id: u32,
    /// How many.
    #[field(3)]
    pub size: u32,
}

/// A URL, in YAML as its parts. `common.URL` on the wire.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", default)]
pub struct Url {
    /// Such as `https`.
    pub scheme: String,
    /// What follows the scheme if it is not `//`.
    pub opaque: String,
    /// Never set: credentials do not belong into a URL.
    pub user: Option<String>,
    /// Host, with port if it has one.
    pub host: String,
    /// Path, with its leading slash.
    pub path: String,
    /// What follows `#`.
    pub fragment: String,
    /// What follows `?`.
    pub rawquery: String,
    /// The path as written, if that is not how it would be written.
    pub rawpath: String,
    /// The fragment as written, if that is not how it would be written.
    pub rawfragment: String,
    /// There is a `?` with nothing behind it.
    pub forcequery: bool,
    /// There is no host on purpose.
    pub omithost: bool,
}

impl Url {
    /// The parts of a URL.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let Some((scheme, rest)) = rest.split_once("://") else {
            return Self {
                path: rest.into(),
                rawquery: query.into(),
                fragment: fragment.into(),
                ..Self::default()
            };
        };
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        Self {
            scheme: scheme.to_lowercase(),
            host: host.into(),
            path: path.into(),
            fragment: fragment.into(),
            rawquery: query.into(),
            ..Self::default()
        }
    }

    /// The host without its port.
    #[must_use]
    pub fn hostname(&self) -> &str {
        let host = match self.host.rsplit_once(':') {
            Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => &self.host,
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}://", self.scheme)?;
        }
        write!(f, "{}{}", self.host, self.path)?;
        if !self.rawquery.is_empty() {
            write!(f, "?{}", self.rawquery)?;
        }
        if !self.fragment.is_empty() {
            write!(f, "#{}", self.fragment)?;
        }
        Ok(())
    }
}

impl ProtoValue for Url {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        proto::nested(number, out, |inner| proto::bytes(self.to_string().as_bytes(), 1, inner));
    }
    fn is_default(&self) -> bool {
        is_default(self)
    }
}

/// The hardware address of a link: bytes on the wire, `52:54:00:12:34:56` in YAML.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct HardwareAddr(pub Vec<u8>);

impl fmt::Display for HardwareAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if position == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl FromStr for HardwareAddr {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let bytes = text.split([':', '-']).map(|byte| match byte.len() {
            2 => u8::from_str_radix(byte, 16).ok(),
            _ => None,
        });
        let problem = || format!("{text:?} is no hardware address (write \"52:54:00:12:34:56\")");
        bytes.collect::<Option<_>>().map(Self).ok_or_else(problem)
    }
}

impl Serialize for HardwareAddr {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HardwareAddr {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl ProtoValue for HardwareAddr {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        proto::bytes(&self.0, number, out);
    }
    fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_put_together() {
        let url = Url::parse("https://[fd00::1]:6443/a?b=c#d");
        assert_eq!(
            (url.scheme.as_str(), url.host.as_str(), url.path.as_str()),
            ("https", "[fd00::1]:6443", "/a")
        );
        assert_eq!(url.hostname(), "fd00::1");
        assert_eq!(url.to_string(), "https://[fd00::1]:6443/a?b=c#d");
        assert_eq!(Url::parse("https://10.0.0.1:6443").hostname(), "10.0.0.1");
    }

    #[test]
    fn hardware_addresses_read_and_print() {
        assert_eq!(
            "52:54:00:12:34:56".parse::<HardwareAddr>().unwrap().to_string(),
            "52:54:00:12:34:56"
        );
        assert!("52:54:0".parse::<HardwareAddr>().is_err());
    }

    #[test]
    fn specs_with_secrets_do_not_print_them() {
        let secret = crate::secrets::OSRootSecrets {
            token: "abc.def".into(),
            ..Default::default()
        };
        assert!(!format!("{secret:?}").contains("abc"));
    }
}
