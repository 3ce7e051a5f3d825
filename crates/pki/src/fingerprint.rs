//! Fingerprints: the SHA-256 by which a person recognises a certificate.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::{Error, info};

/// A SHA-256, of a certificate's DER or of its public key (both are in use; one cannot be mistaken for the other).
/// Read from hexadecimal (colons allowed) or base64; printed as hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a certificate's DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(sha256(certificate))
    }

    /// Whether it is the fingerprint of this certificate, or of its public key.
    pub fn matches(&self, certificate: &[u8]) -> bool {
        let of_key = || {
            info::parse(certificate)
                .map(|c| sha256(c.tbs_certificate.subject_pki.raw))
                .ok()
        };
        self.0 == sha256(certificate) || of_key() == Some(self.0)
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Fingerprint(text.to_owned());
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let bytes = if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            (0..32)
                .filter_map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok())
                .collect()
        } else {
            STANDARD
                .decode(text)
                .or_else(|_| STANDARD_NO_PAD.decode(text))
                .map_err(|_| wrong())?
        };
        bytes.try_into().map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&info::hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_and_base64_are_read_and_others_refused() {
        let print = Fingerprint::of(b"certificate");
        let hex = print.to_string();
        let colons: Vec<String> = hex
            .as_bytes()
            .chunks(2)
            .map(|c| String::from_utf8_lossy(c).to_uppercase())
            .collect();
        assert_eq!(hex.parse::<Fingerprint>().unwrap(), print);
        assert_eq!(colons.join(":").parse::<Fingerprint>().unwrap(), print);
        assert_eq!(STANDARD.encode(print.0).parse::<Fingerprint>().unwrap(), print);
        assert!("abcd".parse::<Fingerprint>().is_err());
        assert!("é".repeat(32).parse::<Fingerprint>().is_err());
    }
}
