//! The bytes of an X.509 version 3 certificate (RFC 5280).

use std::net::IpAddr;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};

use crate::authority::Usage;
use crate::{Error, PrivateKey, der, tokens};

const COMMON_NAME: &[u32] = &[2, 5, 4, 3];
const ORGANIZATION: &[u32] = &[2, 5, 4, 10];
const SUBJECT_KEY_ID: &[u32] = &[2, 5, 29, 14];
const KEY_USAGE: &[u32] = &[2, 5, 29, 15];
const SUBJECT_ALT_NAME: &[u32] = &[2, 5, 29, 17];
const BASIC_CONSTRAINTS: &[u32] = &[2, 5, 29, 19];
const AUTHORITY_KEY_ID: &[u32] = &[2, 5, 29, 35];
const EXTENDED_KEY_USAGE: &[u32] = &[2, 5, 29, 37];
const SERVER_AUTH: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];
const CODE_SIGNING: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 3];

// Named bits of KeyUsage, the first bit is the highest.
const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_CERT_SIGN: u8 = 0x04;

/// A subject or issuer: organizations first, then the common name.
pub struct Name<'a> {
    pub common_name: &'a str,
    pub organizations: &'a [String],
}

impl Name<'_> {
    pub fn is_empty(&self) -> bool {
        self.common_name.is_empty() && self.organizations.iter().all(String::is_empty)
    }

    pub fn to_der(&self) -> Vec<u8> {
        let attribute = |oid: &[u32], value: &str| {
            der::set_of_one(&der::sequence(&[&der::oid(oid), &der::directory_string(value)]))
        };
        let mut parts: Vec<Vec<u8>> = self
            .organizations
            .iter()
            .filter(|o| !o.is_empty())
            .map(|o| attribute(ORGANIZATION, o))
            .collect();
        if !self.common_name.is_empty() {
            parts.push(attribute(COMMON_NAME, self.common_name));
        }
        der::element(0x30, &parts.concat())
    }
}

/// Which extensions a certificate has.
pub enum Extensions<'a> {
    /// May sign others.
    Authority,
    /// May not.
    Leaf {
        usage: Usage,
        dns_names: &'a [String],
        ips: &'a [IpAddr],
        subject_empty: bool,
    },
}

/// A certificate before it is signed.
pub struct Template<'a> {
    pub subject: Vec<u8>,
    pub issuer: Vec<u8>,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
    pub public_key: &'a [u8],
    pub extensions: Extensions<'a>,
    pub issuer_key_id: Option<&'a [u8]>,
}

impl Template<'_> {
    /// Signs with the issuer's key; returns the DER of the certificate.
    pub fn sign(&self, key: &PrivateKey) -> Result<Vec<u8>, Error> {
        let algorithm = key.signature_algorithm();
        let mut serial = tokens::random_bytes::<16>()?;
        serial[0] = serial[0] & 0x7f | 0x40; // positive, and always 16 bytes long (RFC 5280, 4.1.2.2: at most 20)
        let tbs = der::sequence(&[
            &der::element(0xa0, &der::integer(&[2])), // version 3
            &der::integer(&serial),
            &algorithm,
            &self.issuer,
            &der::sequence(&[&time(self.not_before)?, &time(self.not_after)?]),
            &self.subject,
            self.public_key,
            &der::element(0xa3, &der::element(0x30, &self.extensions()?.concat())),
        ]);
        Ok(der::sequence(&[&tbs, &algorithm, &der::bit_string(&key.sign(&tbs)?)]))
    }

    fn extensions(&self) -> Result<Vec<Vec<u8>>, Error> {
        let mut all = Vec::new();
        match &self.extensions {
            Extensions::Authority => {
                all.push(extension(
                    KEY_USAGE,
                    true,
                    &der::named_bits(DIGITAL_SIGNATURE | KEY_CERT_SIGN),
                ));
                all.push(extended_key_usage(Usage::Peer));
                all.push(extension(
                    BASIC_CONSTRAINTS,
                    true,
                    &der::sequence(&[&der::boolean_true()]),
                ));
                all.push(extension(
                    SUBJECT_KEY_ID,
                    false,
                    &der::octet_string(&key_id(self.public_key)),
                ));
            }
            Extensions::Leaf {
                usage,
                dns_names,
                ips,
                subject_empty,
            } => {
                all.push(extension(KEY_USAGE, true, &der::named_bits(DIGITAL_SIGNATURE)));
                all.push(extended_key_usage(*usage));
                all.push(extension(BASIC_CONSTRAINTS, true, &der::sequence(&[])));
                if !dns_names.is_empty() || !ips.is_empty() {
                    // Critical when it is the only name (RFC 5280, 4.2.1.6).
                    all.push(extension(
                        SUBJECT_ALT_NAME,
                        *subject_empty,
                        &alternative_names(dns_names, ips)?,
                    ));
                }
            }
        }
        if let Some(id) = self.issuer_key_id {
            all.push(extension(
                AUTHORITY_KEY_ID,
                false,
                &der::sequence(&[&der::element(0x80, id)]),
            ));
        }
        Ok(all)
    }
}

/// GeneralNames: dNSName is `[2]`, iPAddress is `[7]`.
pub fn alternative_names(dns_names: &[String], ips: &[IpAddr]) -> Result<Vec<u8>, Error> {
    let mut names = Vec::new();
    for name in dns_names {
        let valid = !name.is_empty()
            && name.len() <= 253
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._*".contains(&b));
        if !valid {
            return Err(Error::DnsName(name.clone()));
        }
        names.extend(der::element(0x82, name.as_bytes()));
    }
    for ip in ips {
        match ip {
            IpAddr::V4(v4) => names.extend(der::element(0x87, &v4.octets())),
            IpAddr::V6(v6) => names.extend(der::element(0x87, &v6.octets())),
        }
    }
    Ok(der::element(0x30, &names))
}

/// One extension.
pub fn extension(oid: &[u32], critical: bool, value: &[u8]) -> Vec<u8> {
    let flag = if critical { der::boolean_true() } else { Vec::new() };
    der::sequence(&[&der::oid(oid), &flag, &der::octet_string(value)])
}

/// The SubjectAltName extension of a request.
pub fn alternative_names_extension(dns_names: &[String], ips: &[IpAddr]) -> Result<Vec<u8>, Error> {
    Ok(extension(SUBJECT_ALT_NAME, false, &alternative_names(dns_names, ips)?))
}

fn extended_key_usage(usage: Usage) -> Vec<u8> {
    let (server, client) = (der::oid(SERVER_AUTH), der::oid(CLIENT_AUTH));
    let value = match usage {
        Usage::Server => der::sequence(&[&server]),
        Usage::Client => der::sequence(&[&client]),
        Usage::Peer => der::sequence(&[&server, &client]),
        Usage::CodeSigning => der::sequence(&[&der::oid(CODE_SIGNING)]),
    };
    extension(EXTENDED_KEY_USAGE, false, &value)
}

/// Key identifier: the leftmost 160 bits of the SHA-256 of the public key (RFC 7093, method 1, over the whole info).
pub fn key_id(public_key: &[u8]) -> Vec<u8> {
    digest(&SHA256, public_key).as_ref()[..20].to_vec()
}

/// UTCTime until 2049, GeneralizedTime after (RFC 5280, 4.1.2.5).
fn time(at: SystemTime) -> Result<Vec<u8>, Error> {
    let at = jiff::Timestamp::try_from(at).map_err(|_| Error::Time)?;
    let civil = jiff::tz::Offset::UTC.to_datetime(at);
    let rest = format!(
        "{:02}{:02}{:02}{:02}{:02}Z",
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second()
    );
    match civil.year() {
        year @ 1950..=2049 => Ok(der::element(0x17, format!("{:02}{rest}", year % 100).as_bytes())),
        year @ 2050..=9999 => Ok(der::element(0x18, format!("{year:04}{rest}").as_bytes())),
        _ => Err(Error::Time),
    }
}
