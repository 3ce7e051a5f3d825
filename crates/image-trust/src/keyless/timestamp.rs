//! Timestamps (RFC 3161): an authority signed when it saw a signature. Logs that say no time need one beside them.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use webpki::KeyUsage;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificate::issued;
use super::flaw::Flaw;
use super::root::{Authority, TrustRoot};
use crate::key::Key;

/// Use of a certificate: timestamps, 1.3.6.1.5.5.7.3.8.
const TIME_STAMPING: &[u8] = &[43, 6, 1, 5, 5, 7, 3, 8];
/// 1.2.840.113549.1.7.2
const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
/// 1.2.840.113549.1.9.16.1.4
const TIMESTAMP: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x04";
/// 1.2.840.113549.1.9.3
const CONTENT_TYPE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
/// 1.2.840.113549.1.9.4
const MESSAGE_DIGEST: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
/// 2.16.840.1.101.3.4.2; the last number is the function's.
const SHA2: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02";
/// Most certificates of a timestamp that are tried.
const MAX_CERTIFICATES: usize = 8;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 2;
const OCTETS: u8 = 4;
const OID: u8 = 6;
const TIME: u8 = 0x18;
const FIRST: u8 = 0xa0;

/// A timestamp that was read.
struct Read<'a> {
    /// What is signed, except for its authenticity: time and what was seen then.
    info: &'a [u8],
    certificates: Vec<&'a [u8]>,
    function: &'static Algorithm,
    /// The content of the set of attributes that are signed.
    attributes: &'a [u8],
    signature: &'a [u8],
}

/// What a timestamp says.
struct Info<'a> {
    function: &'static Algorithm,
    hash: &'a [u8],
    at: Timestamp,
}

/// When an authority of the trust root saw a signature.
///
/// # Errors
/// The timestamp is damaged, of something else, or by a stranger.
pub(super) fn check(response: &[u8], signature: &[u8], root: &TrustRoot) -> Result<Timestamp, Flaw> {
    let bad = |why: &str| Flaw::Timestamp(why.to_owned());
    let read = read(response).ok_or_else(|| bad("it cannot be read"))?;
    let info = info(read.info).ok_or_else(|| bad("its content cannot be read"))?;
    if digest(info.function, signature).as_ref() != info.hash {
        return Err(bad("it is of something else"));
    }
    let (kind, hash) = attributes(read.attributes).ok_or_else(|| bad("its attributes cannot be read"))?;
    if kind != TIMESTAMP || digest(read.function, read.info).as_ref() != hash {
        return Err(bad("its signature is of something else"));
    }
    let mut why = "no authority that is trusted made it".to_owned();
    for authority in root.timestamp_authorities.iter().filter(|a| a.valid.contains(info.at)) {
        match read.by(authority, info.at) {
            Ok(()) => return Ok(info.at),
            Err(error) => why = error,
        }
    }
    Err(Flaw::Timestamp(why))
}

impl Read<'_> {
    fn by(&self, authority: &Authority, at: Timestamp) -> Result<(), String> {
        let message = pki::der::element(SET, self.attributes);
        let known = authority.chain.iter().map(Vec::as_slice);
        let certificates = known.chain(self.certificates.iter().copied());
        let signed = |der: &&[u8]| stamps(der).is_some_and(|key| key.verifies(&message, self.signature));
        let certificate = certificates.clone().find(signed);
        let certificate = certificate.ok_or_else(|| "no authority that is trusted made it".to_owned())?;
        let usage = KeyUsage::required_if_present(TIME_STAMPING);
        issued(
            certificate,
            &self.certificates,
            std::slice::from_ref(authority),
            at,
            usage,
        )
    }
}

/// The key of a certificate, if it is for timestamps.
fn stamps(der: &[u8]) -> Option<Key> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let usage = certificate.extended_key_usage().ok()??;
    usage
        .value
        .time_stamping
        .then(|| Key::from_info(certificate.public_key()).ok())?
}

/// Opens a response: status, and the signed content that it is about (RFC 5652, 5).
fn read(response: &[u8]) -> Option<Read<'_>> {
    let mut response = Parts(Parts(response).take(SEQUENCE)?);
    response.take(SEQUENCE)?;
    let mut token = Parts(response.take(SEQUENCE)?);
    if token.take(OID)? != SIGNED_DATA {
        return None;
    }
    let mut data = Parts(Parts(token.take(FIRST)?).take(SEQUENCE)?);
    data.take(INTEGER)?;
    data.take(SET)?;
    let mut content = Parts(data.take(SEQUENCE)?);
    if content.take(OID)? != TIMESTAMP {
        return None;
    }
    let info = Parts(content.take(FIRST)?).take(OCTETS)?;
    let mut certificates = Vec::new();
    if data.next_is(FIRST) {
        let mut set = Parts(data.take(FIRST)?);
        while let Some(whole) = set.whole(SEQUENCE).filter(|_| certificates.len() < MAX_CERTIFICATES) {
            certificates.push(whole);
        }
    }
    let mut signer = Parts(Parts(data.take(SET)?).take(SEQUENCE)?);
    signer.take(INTEGER)?;
    // Who it is by does not matter: each certificate is tried.
    signer.any()?;
    let function = function(signer.take(SEQUENCE)?)?;
    let attributes = signer.take(FIRST)?;
    signer.take(SEQUENCE)?;
    Some(Read {
        info,
        certificates,
        function,
        attributes,
        signature: signer.take(OCTETS)?,
    })
}

/// What a timestamp says (RFC 3161, 2.4.2).
fn info(der: &[u8]) -> Option<Info<'_>> {
    let mut info = Parts(Parts(der).take(SEQUENCE)?);
    info.take(INTEGER)?;
    info.take(OID)?;
    let mut seen = Parts(info.take(SEQUENCE)?);
    let function = function(seen.take(SEQUENCE)?)?;
    let hash = seen.take(OCTETS)?;
    info.take(INTEGER)?;
    let at = time(info.take(TIME)?)?;
    Some(Info { function, hash, at })
}

/// What is signed: the type of the content, and its hash.
fn attributes(set: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut kind, mut hash, mut set) = (None, None, Parts(set));
    while let Some(attribute) = set.take(SEQUENCE) {
        let mut attribute = Parts(attribute);
        let name = attribute.take(OID)?;
        let mut values = Parts(attribute.take(SET)?);
        match name {
            CONTENT_TYPE => kind = Some(values.take(OID)?),
            MESSAGE_DIGEST => hash = Some(values.take(OCTETS)?),
            _ => {}
        }
    }
    Some((kind?, hash?))
}

fn function(algorithm: &[u8]) -> Option<&'static Algorithm> {
    match Parts(algorithm).take(OID)?.strip_prefix(SHA2)? {
        [1] => Some(&SHA256),
        [2] => Some(&SHA384),
        [3] => Some(&SHA512),
        _ => None,
    }
}

/// A time of the form `20260131235959Z`, with or without parts of a second.
fn time(text: &[u8]) -> Option<Timestamp> {
    let digits = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let digits = digits.split_once('.').map_or(digits, |(whole, _)| whole);
    let all = digits.len() == 14 && digits.bytes().all(|b| b.is_ascii_digit());
    let number = |from: usize, to: usize| digits.get(from..to).and_then(|text| text.parse::<i8>().ok());
    let year = all.then(|| digits.get(..4)?.parse::<i16>().ok())??;
    let (month, day) = (number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    let time = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// What is left of a list of DER elements.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    /// The content of the next element, which must have this tag.
    fn take(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let (tag, content, rest) = pki::der::split(self.0)?;
        (tag == wanted).then(|| {
            self.0 = rest;
            content
        })
    }

    /// The next element with its tag and length, which must have this tag.
    fn whole(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let all = self.0;
        self.take(wanted)?;
        all.get(..all.len() - self.0.len())
    }

    fn any(&mut self) -> Option<()> {
        self.take(*self.0.first()?).map(drop)
    }

    fn next_is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_second() {
        let expected = "2026-01-31T23:59:58Z".parse::<Timestamp>().unwrap();
        for text in ["20260131235958Z", "20260131235958.123Z"] {
            assert_eq!(time(text.as_bytes()), Some(expected), "{text}");
        }
        for text in [
            "",
            "Z",
            "20260131235958",
            "20261331235958Z",
            "2026-1-1Z",
            "+0260131235958Z",
        ] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        for bytes in [&b""[..], b"\x30\x00", b"\x30\x03\x30\x01\x00", &[0x30; 40]] {
            let checked = check(bytes, b"", &TrustRoot::public_good());
            assert_eq!(checked, Err(Flaw::Timestamp("it cannot be read".to_owned())));
        }
    }
}
