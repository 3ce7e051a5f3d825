//! One affiliate, in one piece of memory.
//!
//! A service holds hundreds of thousands of affiliates, each a few small strings that are read far more often than
//! changed. Kept apart, their headers and the allocator's would be as large as what they say. The same bytes go to disk.
//!
//! ```text
//! expires u32 | id length u16 | data length u16 | endpoints u8 | id | data | (expires u32 | length u8 | bytes)*
//! ```
//! Numbers are little-endian. An affiliate that only has endpoints, which others reported, expires at 0 and has no data.

use crate::limits;
use crate::time::Time;

const HEADER: usize = 9;
const ENDPOINT_HEADER: usize = 5;

/// An affiliate: its id, its sealed data and its sealed endpoints, and when they expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record(Box<[u8]>);

/// An endpoint of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// When it expires.
    pub expires: Time,
    /// What it is, sealed.
    pub bytes: &'a [u8],
}

/// The parts a record is made of. They are within [`limits`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Its id.
    pub id: &'a [u8],
    /// Its data and when they expire.
    pub data: Option<(&'a [u8], Time)>,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint<'a>>,
}

impl Parts<'_> {
    /// Puts them into one piece. None if they are over the limits.
    pub fn pack(&self) -> Option<Record> {
        let (data, expires) = self.data.unwrap_or((&[], Time(0)));
        let within = (1..=limits::AFFILIATE_ID).contains(&self.id.len())
            && data.len() <= limits::DATA
            && self.endpoints.len() <= limits::ENDPOINTS
            && self.endpoints.iter().all(|e| e.bytes.len() <= limits::ENDPOINT)
            && self.data.is_none_or(|(_, expires)| expires != Time(0));
        if !within {
            return None;
        }
        let endpoints: usize = self.endpoints.iter().map(|e| ENDPOINT_HEADER + e.bytes.len()).sum();
        let mut bytes = Vec::with_capacity(HEADER + self.id.len() + data.len() + endpoints);
        bytes.extend_from_slice(&expires.0.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(self.id.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(data.len()).ok()?.to_le_bytes());
        bytes.push(u8::try_from(self.endpoints.len()).ok()?);
        bytes.extend_from_slice(self.id);
        bytes.extend_from_slice(data);
        for endpoint in &self.endpoints {
            bytes.extend_from_slice(&endpoint.expires.0.to_le_bytes());
            bytes.push(u8::try_from(endpoint.bytes.len()).ok()?);
            bytes.extend_from_slice(endpoint.bytes);
        }
        Some(Record(bytes.into_boxed_slice()))
    }
}

impl Record {
    /// The most bytes one has.
    pub const MOST_BYTES: usize =
        HEADER + limits::AFFILIATE_ID + limits::DATA + limits::ENDPOINTS * (ENDPOINT_HEADER + limits::ENDPOINT);

    /// Takes bytes that came from a disk. None unless they are a record within the limits, to the last byte.
    pub fn from_bytes(bytes: &[u8]) -> Option<Record> {
        let (id, data, count) = lengths(bytes)?;
        let ids = 1..=limits::AFFILIATE_ID;
        if !ids.contains(&id) || data > limits::DATA || count > limits::ENDPOINTS {
            return None;
        }
        std::str::from_utf8(bytes.get(HEADER..HEADER + id)?).ok()?;
        if data > 0 && read_u32(bytes, 0)? == 0 {
            return None;
        }
        let mut rest = bytes.get(HEADER + id + data..)?;
        for _ in 0..count {
            let (endpoint, after) = split_endpoint(rest)?;
            if endpoint.bytes.len() > limits::ENDPOINT {
                return None;
            }
            rest = after;
        }
        rest.is_empty().then(|| Record(bytes.into()))
    }

    /// All of it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its id.
    pub fn id(&self) -> &[u8] {
        let (id, _, _) = self.lengths();
        self.0.get(HEADER..HEADER + id).unwrap_or_default()
    }

    /// Its data; empty if there are none.
    pub fn data(&self) -> &[u8] {
        let (id, data, _) = self.lengths();
        self.0.get(HEADER + id..HEADER + id + data).unwrap_or_default()
    }

    /// When its data expire; None if it has none.
    pub fn expires(&self) -> Option<Time> {
        read_u32(&self.0, 0).filter(|seconds| *seconds != 0).map(Time)
    }

    /// How many endpoints it has.
    pub fn endpoint_count(&self) -> usize {
        self.lengths().2
    }

    /// Its endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint<'_>> {
        let (id, data, _) = self.lengths();
        let mut rest = self.0.get(HEADER + id + data..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (endpoint, after) = split_endpoint(rest)?;
            rest = after;
            Some(endpoint)
        })
    }

    /// Its parts, without the endpoints that have expired.
    pub fn alive(&self, now: Time) -> Parts<'_> {
        Parts {
            id: self.id(),
            data: self.expires().map(|expires| (self.data(), expires)),
            endpoints: self.endpoints().filter(|e| e.expires > now).collect(),
        }
    }

    /// The same record, which does not last longer than `latest`: the clock may have been wrong when it was written.
    pub fn lasting_until(self, latest: Time) -> Record {
        let too_late = |expires: Time| expires > latest;
        if !self.expires().is_some_and(too_late) && !self.endpoints().any(|e| too_late(e.expires)) {
            return self;
        }
        let mut parts = self.alive(Time(0));
        parts.data = parts.data.map(|(data, expires)| (data, expires.min(latest)));
        parts
            .endpoints
            .iter_mut()
            .for_each(|e| e.expires = e.expires.min(latest));
        parts.pack().unwrap_or(self)
    }

    fn lengths(&self) -> (usize, usize, usize) {
        lengths(&self.0).unwrap_or_default()
    }
}

fn lengths(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    let id = u16::from_le_bytes(bytes.get(4..6)?.try_into().ok()?);
    let data = u16::from_le_bytes(bytes.get(6..8)?.try_into().ok()?);
    Some((id.into(), data.into(), (*bytes.get(8)?).into()))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn split_endpoint(bytes: &[u8]) -> Option<(Endpoint<'_>, &[u8])> {
    let expires = Time(read_u32(bytes, 0)?);
    let length = usize::from(*bytes.get(4)?);
    let (endpoint, rest) = bytes.get(ENDPOINT_HEADER..)?.split_at_checked(length)?;
    Some((
        Endpoint {
            expires,
            bytes: endpoint,
        },
        rest,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_put_in_comes_out() {
        let endpoint = |bytes, at| Endpoint {
            expires: Time(at),
            bytes,
        };
        let parts = Parts {
            id: b"node",
            data: Some((b"sealed", Time(9))),
            endpoints: vec![endpoint(b"one".as_slice(), 5), endpoint(b"", 7)],
        };
        let record = parts.pack().unwrap();
        assert_eq!(record.alive(Time(0)), parts);
        assert_eq!(record.alive(Time(5)).endpoints, [endpoint(b"", 7)]);
        assert_eq!(Record::from_bytes(record.as_bytes()), Some(record));
    }

    #[test]
    fn parts_over_the_limits_are_not_packed() {
        let long = [0; 4096];
        let parts = |id, data| Parts {
            id,
            data,
            endpoints: vec![],
        };
        assert!(parts(b"", None).pack().is_none());
        assert!(parts(&long[..limits::AFFILIATE_ID + 1], None).pack().is_none());
        assert!(parts(b"a", Some((&long[..limits::DATA + 1], Time(1)))).pack().is_none());
        assert!(parts(b"a", Some((&long[..limits::DATA], Time(1)))).pack().is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_whole_record_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(record) = Record::from_bytes(&bytes) {
                prop_assert_eq!(record.endpoints().count(), record.endpoint_count());
                let parts = record.alive(Time(0));
                prop_assert!(!parts.id.is_empty());
            }
        }

        #[test]
        fn a_cut_record_is_none(cut in 0usize..100) {
            let endpoints = vec![Endpoint { expires: Time(3), bytes: &[7; 16] }; 3];
            let record = Parts { id: b"abc", data: Some((&[1; 20], Time(2))), endpoints }.pack().unwrap();
            let bytes = record.as_bytes();
            prop_assume!(cut < bytes.len());
            prop_assert_eq!(Record::from_bytes(&bytes[..cut]), None);
        }
    }
}
