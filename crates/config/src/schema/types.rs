//! Types of fields that are more than a string or number: prefixes, ports, permissions, keys and certificates.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::Struct;

/// A struct with a schema.
pub trait Described {
    /// The schema.
    const STRUCT: &'static Struct;
}

/// A document of a stream.
pub trait Kind: super::Field + Described {
    /// Value of `kind`.
    const KIND: &'static str;
}

/// An IP address and the length of its network prefix. Host bits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// Bits of the network part.
    pub length: u8,
}

impl Prefix {
    /// The address with the host bits cleared.
    pub fn network(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V4((u32::from(v4) & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V6((u128::from(v6) & mask).into())
            }
        }
    }

    /// True if the address lies in the prefix.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && Prefix {
                address,
                length: self.length,
            }
            .network()
                == self.network()
    }

    /// True if the two share an address.
    pub fn overlaps(&self, other: &Prefix) -> bool {
        let (wide, narrow) = if self.length <= other.length {
            (self, other)
        } else {
            (other, self)
        };
        wide.contains(narrow.address)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, length) = text.split_once('/').ok_or(())?;
        let address: IpAddr = address.parse().map_err(|_| ())?;
        if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
            return Err(());
        }
        let length: u8 = length.parse().map_err(|_| ())?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        if length > max {
            Err(())
        } else {
            Ok(Self { address, length })
        }
    }
}

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    /// First port.
    pub first: u16,
    /// Last port; equal to the first for a single one.
    pub last: u16,
}

impl FromStr for Ports {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ports = Self {
            first: first.parse().map_err(|_| ())?,
            last: last.parse().map_err(|_| ())?,
        };
        if ports.first > ports.last { Err(()) } else { Ok(ports) }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// Permissions of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileMode(pub u32);

/// One value or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OneOrMany {
    /// A single value.
    One(String),
    /// A list of values.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The values.
    pub fn values(&self) -> &[String] {
        match self {
            OneOrMany::One(value) => std::slice::from_ref(value),
            OneOrMany::Many(values) => values,
        }
    }
}

impl Default for OneOrMany {
    fn default() -> Self {
        OneOrMany::Many(Vec::new())
    }
}

/// Arguments of a Kubernetes component by name.
pub type Args = std::collections::BTreeMap<String, OneOrMany>;

/// Any value: a piece of Kubernetes configuration that is not ours to judge.
pub type Free = serde_json::Value;

/// Bytes written as base64; not secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// A secret key written as base64 of PEM.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SecretBytes(pub pki::Secret);
