//! Certificates of signers, and of who certifies them, in DER by hand: no library at hand writes what is special in them.

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use pki::der::{bit_string, boolean_true, directory_string, element, integer, octet_string, oid, sequence, set_of_one};
use pki::{KeyKind, PrivateKey};

use crate::log::{Log, hash};
use crate::{LIFETIME, Name, Signing};

const YEARS: SignedDuration = SignedDuration::from_hours(20 * 366 * 24);
/// Of what the extensions of sigstore's begin with.
const SIGSTORE: [u32; 8] = [1, 3, 6, 1, 4, 1, 57264, 1];

/// A root, and what is between it and the signers.
pub struct Issuer {
    root: Vec<u8>,
    between: Vec<u8>,
    key: PrivateKey,
}

impl Issuer {
    pub fn new() -> Result<Self> {
        let start = Timestamp::now() - YEARS;
        let (root_key, key) = (
            PrivateKey::generate(KeyKind::EcdsaP256)?,
            PrivateKey::generate(KeyKind::EcdsaP256)?,
        );
        let authority = |subject: &'static str, key: &PrivateKey| -> Result<Certificate> {
            Ok(Certificate {
                issuer: "root",
                subject,
                period: (start, start + YEARS + YEARS),
                key: key.public_key()?,
                extensions: vec![
                    extension(&[2, 5, 29, 19], true, &sequence(&[&boolean_true()])),
                    extension(&[2, 5, 29, 15], true, &pki::der::named_bits(0x06)),
                ],
            })
        };
        Ok(Self {
            root: authority("root", &root_key)?.signed(&root_key)?,
            between: authority("between", &key)?.signed(&root_key)?,
            key,
        })
    }

    /// What certifies, and its root.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        [self.between.as_slice(), &self.root].into_iter()
    }

    /// Certifies a key, with the log's signature in the certificate.
    pub fn certify(&self, signing: &Signing, key: &PrivateKey, log: &Log) -> Result<Vec<u8>> {
        let issuer = |number: u32| [&SIGSTORE[..], &[number]].concat();
        let mut certificate = Certificate {
            issuer: "between",
            subject: "",
            period: (signing.certified, signing.certified + LIFETIME),
            key: key.public_key()?,
            extensions: vec![
                extension(
                    &[2, 5, 29, 37],
                    false,
                    &sequence(&[&oid(&[1, 3, 6, 1, 5, 5, 7, 3, signing.purpose])]),
                ),
                extension(&[2, 5, 29, 17], true, &sequence(&[&name(&signing.name)])),
                extension(&issuer(1), false, signing.issuer.as_bytes()),
                extension(&issuer(8), false, &element(0x0c, signing.issuer.as_bytes())),
            ],
        };
        let seen = seen(
            &certificate.to_be_signed(),
            &self.key.public_key()?,
            signing.certified,
            log,
        )?;
        let seen = extension(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], false, &octet_string(&seen));
        // In the midst, so that whoever takes it out again has something on both sides.
        certificate.extensions.insert(2, seen);
        certificate.signed(&self.key)
    }
}

struct Certificate {
    issuer: &'static str,
    subject: &'static str,
    period: (Timestamp, Timestamp),
    key: Vec<u8>,
    extensions: Vec<Vec<u8>>,
}

impl Certificate {
    fn to_be_signed(&self) -> Vec<u8> {
        let extensions: Vec<&[u8]> = self.extensions.iter().map(Vec::as_slice).collect();
        sequence(&[
            // Version 3.
            &element(0xa0, &integer(&[2])),
            &integer(&hash(&self.key)[..8]),
            &algorithm(),
            &distinguished(self.issuer),
            &sequence(&[&time(self.period.0), &time(self.period.1)]),
            &distinguished(self.subject),
            &self.key,
            &element(0xa3, &sequence(&extensions)),
        ])
    }

    fn signed(&self, key: &PrivateKey) -> Result<Vec<u8>> {
        let text = self.to_be_signed();
        Ok(sequence(&[&text, &algorithm(), &bit_string(&key.sign(&text)?)]))
    }
}

/// ECDSA with SHA-256.
fn algorithm() -> Vec<u8> {
    sequence(&[&oid(&[1, 2, 840, 10045, 4, 3, 2])])
}

fn distinguished(name: &str) -> Vec<u8> {
    if name.is_empty() {
        return sequence(&[]);
    }
    sequence(&[&set_of_one(&sequence(&[&oid(&[2, 5, 4, 3]), &directory_string(name)]))])
}

fn name(name: &Name) -> Vec<u8> {
    match name {
        Name::Email(text) => element(0x81, text.as_bytes()),
        Name::Uri(text) => element(0x86, text.as_bytes()),
        Name::Other(text) => {
            let kind = oid(&[&SIGSTORE[..], &[7]].concat());
            let value = element(0xa0, &element(0x0c, text.as_bytes()));
            element(0xa0, &[kind, value].concat())
        }
    }
}

fn extension(kind: &[u32], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { boolean_true() } else { Vec::new() };
    sequence(&[&oid(kind), &critical, &octet_string(value)])
}

fn time(at: Timestamp) -> Vec<u8> {
    element(0x18, at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
}

/// A list of one signature of a log (RFC 6962, 3.3).
fn seen(unsigned: &[u8], issuer_key: &[u8], at: Timestamp, log: &Log) -> Result<Vec<u8>> {
    let at = at.as_millisecond().to_be_bytes();
    let length = (unsigned.len() as u32).to_be_bytes();
    let message = [
        &[0, 0],
        &at[..],
        &[0, 1],
        &hash(issuer_key),
        &length[1..],
        unsigned,
        &[0, 0],
    ]
    .concat();
    let signature = log.sign(&message)?;
    let short = |bytes: &[u8]| (bytes.len() as u16).to_be_bytes();
    // SHA-256 and ECDSA.
    let one = [
        &[0],
        log.id()?.as_slice(),
        &at,
        &[0, 0],
        &[4, 3],
        &short(&signature),
        &signature,
    ]
    .concat();
    let list = [&short(&one)[..], &one].concat();
    Ok([&short(&list)[..], &list].concat())
}

/// A certificate as PEM.
pub fn pem(der: &[u8]) -> String {
    pki::pem::encode(pki::pem::CERTIFICATE, der)
}
