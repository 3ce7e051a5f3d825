//! What etcd keeps in its database.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::bolt::{Bucket, Database, Entry, Source};
use crate::{Description, Error};

/// The bucket of all revisions of all keys.
const KEYS: &[u8] = b"key";
/// Buckets that every member has made before anything can be saved.
const NEEDED: [&[u8]; 2] = [KEYS, b"meta"];
/// Keys of that bucket begin with a revision: main, `_`, sub, each eight bytes, big-endian; a deletion adds `t`.
const REVISION: usize = 17;
/// The config map by which every pod of a namespace knows the cluster's authority.
const ROOT_CA: &[u8] = b"/registry/configmaps/kube-system/kube-root-ca.crt";

/// Certificates of a Kubernetes cluster's authorities, each the base64 of its DER form.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KubernetesAuthority(pub Vec<String>);

impl KubernetesAuthority {
    /// Whether there is none, or one of these PEM files has one of them.
    pub fn is_one_of<'a>(&self, pem: impl IntoIterator<Item = &'a [u8]>) -> bool {
        self.0.is_empty() || pem.into_iter().flat_map(certificates).any(|c| self.0.contains(&c))
    }
}

/// One revision of a key (etcd's `mvccpb.KeyValue`), without what it says.
#[derive(Clone, PartialEq, prost::Message)]
struct Key {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

/// The same, without the key.
#[derive(Clone, PartialEq, prost::Message)]
struct Value {
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
}

pub fn describe<S: Source + ?Sized>(source: &S, size: u64) -> Result<Description, Error> {
    let database = Database::open(source, size)?;
    let mut buckets: Vec<(Vec<u8>, Bucket)> = Vec::new();
    let mut walk = database.walk();
    walk.bucket(&database.root(), &mut |name, entry| match entry {
        Entry::Bucket(bucket) => {
            buckets.push((name.to_vec(), bucket));
            Ok(())
        }
        Entry::Value(_) => Err(Error::Foreign("it has values outside of buckets".into())),
    })?;
    for needed in NEEDED {
        if !buckets.iter().any(|(name, _)| name == needed) {
            let name = String::from_utf8_lossy(needed);
            return Err(Error::Foreign(format!("it has no bucket \"{name}\"")));
        }
    }
    let mut hash = Crc32c::new();
    // Eight bytes for a key: a million keys stay small.
    let mut alive = HashSet::new();
    let mut description = Description {
        size: database.size(),
        ..Description::default()
    };
    for (name, bucket) in &buckets {
        hash.update(name);
        let keys = name == KEYS;
        walk.bucket(bucket, &mut |key, entry| {
            let Entry::Value(value) = entry else {
                return Err(Error::Foreign("it has buckets inside of buckets".into()));
            };
            hash.update(key);
            hash.update(value);
            if keys {
                description.revision = revision(key)?;
                let name = decode::<Key>(value)?.key;
                let deleted = key.len() > REVISION;
                if deleted {
                    alive.remove(&short(&name));
                } else {
                    alive.insert(short(&name));
                }
                if name == ROOT_CA {
                    description.kubernetes = if deleted {
                        KubernetesAuthority::default()
                    } else {
                        KubernetesAuthority(certificates(&decode::<Value>(value)?.value))
                    };
                }
            }
            Ok(())
        })?;
    }
    description.hash = hash.finish();
    description.keys = alive.len() as u64;
    Ok(description)
}

fn revision(key: &[u8]) -> Result<i64, Error> {
    let bad = || Error::Corrupted("a key has no revision".into());
    let main = key.first_chunk().filter(|_| key.len() >= REVISION);
    main.map(|main| i64::from_be_bytes(*main)).ok_or_else(bad)
}

fn decode<M: prost::Message + Default>(value: &[u8]) -> Result<M, Error> {
    M::decode(value).map_err(|_| Error::Corrupted("a value is not what etcd writes".into()))
}

fn short(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The certificates of PEM text that stands somewhere in bytes.
fn certificates(bytes: &[u8]) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let text = String::from_utf8_lossy(bytes);
    let inner = |part: &str| {
        let (body, _) = part.split_once("-----END CERTIFICATE-----")?;
        Some(body.chars().filter(|c| !c.is_whitespace()).collect())
    };
    text.split(BEGIN).skip(1).filter_map(inner).collect()
}

/// CRC-32 with Castagnoli's polynomial, as etcd sums up a database.
struct Crc32c {
    table: [u32; 256],
    sum: u32,
}

impl Crc32c {
    fn new() -> Self {
        const POLYNOMIAL: u32 = 0x82F6_3B78;
        let step = |sum: u32, _| (sum >> 1) ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 };
        let mut table = [0; 256];
        for (entry, byte) in table.iter_mut().zip(0..) {
            *entry = (0..8).fold(byte, step);
        }
        Self { table, sum: !0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let [low, ..] = self.sum.to_le_bytes();
            let entry = self.table.get(usize::from(low ^ byte)).copied().unwrap_or_default();
            self.sum = (self.sum >> 8) ^ entry;
        }
    }

    fn finish(&self) -> u32 {
        !self.sum
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const SAVED: &[u8] = include_bytes!("../tests/data/small.snapshot");

    #[test]
    fn the_checksum_is_castagnolis() {
        // RFC 3720, B.4.
        let mut crc = Crc32c::new();
        crc.update(&[0; 32]);
        assert_eq!(crc.finish(), 0x8a91_36aa);
    }

    #[test]
    fn the_authority_of_the_cluster_is_told() {
        let found = describe(SAVED, SAVED.len() as u64 - 32).unwrap().kubernetes;
        assert_eq!(found, KubernetesAuthority(vec!["QUJDREVG".into()]));
        let pem = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        assert!(found.is_one_of([pem("OTHER").as_bytes(), pem("QUJDRE\nVG").as_bytes()]));
        assert!(!found.is_one_of([pem("OTHER").as_bytes()]));
        // What is no cluster of Kubernetes is nobody's.
        assert!(KubernetesAuthority::default().is_one_of([pem("OTHER").as_bytes()]));
    }

    proptest! {
        #[test]
        fn broken_databases_are_refused_or_described_and_never_crash(
            changes in prop::collection::vec((0..SAVED.len(), any::<u8>()), 1..40),
            header in any::<bool>(),
        ) {
            let mut bytes = SAVED.to_vec();
            for (at, value) in changes {
                // Headers of pages are where the damage is interesting.
                let at = if header { at / 4096 * 4096 + at % 64 } else { at };
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            let _ = describe(&bytes[..], (bytes.len() / 512 * 512) as u64);
        }
    }
}
