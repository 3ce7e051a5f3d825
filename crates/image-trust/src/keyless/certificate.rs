//! Certificates of signers (Fulcio's): who issued them, when they are good, and who they say signs.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::flaw::Flaw;
use super::root::Authority;
use super::root::TrustRoot;
use super::sct;
use crate::key::Key;

/// The identity provider, as it is.
const ISSUER_V1: &str = "1.3.6.1.4.1.57264.1.1";
/// The identity provider, DER.
const ISSUER_V2: &str = "1.3.6.1.4.1.57264.1.8";
/// A name of another form: DER.
const OTHER_NAME: &str = "1.3.6.1.4.1.57264.1.7";
/// Use of a certificate: signing of code, 1.3.6.1.5.5.7.3.3.
const CODE_SIGNING: &[u8] = &[43, 6, 1, 5, 5, 7, 3, 3];

/// Who signed, by a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signer {
    /// The identity provider that knows them.
    pub issuer: String,
    /// Their names there; usually one.
    pub names: Vec<String>,
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of somebody's certificate, and on its way into a log.
        let names: Vec<_> = self.names.iter().map(|name| format!("{name:?}")).collect();
        let names = if names.is_empty() {
            "nobody".to_owned()
        } else {
            names.join(", ")
        };
        write!(f, "{names} (issuer {:?})", self.issuer)
    }
}

/// A certificate that was read.
pub struct Leaf<'a> {
    certificate: X509Certificate<'a>,
    der: &'a [u8],
}

impl<'a> Leaf<'a> {
    pub fn read(der: &'a [u8]) -> Result<Self, Flaw> {
        let unreadable = |why: String| Flaw::Unreadable("the certificate", why);
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|e| unreadable(e.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable("something follows it".to_owned()));
        }
        Ok(Self { certificate, der })
    }

    pub fn key(&self) -> Result<Key, Flaw> {
        let key = Key::from_info(self.certificate.public_key());
        key.map_err(|e| Flaw::Unreadable("the certificate", e.to_string()))
    }

    /// Who signs with it, by what it says itself.
    pub fn signer(&self) -> Result<Signer, Flaw> {
        let mut signer = Signer::default();
        for extension in self.certificate.extensions() {
            match extension.oid.to_id_string().as_str() {
                ISSUER_V2 => signer.issuer = utf8(extension.value)?,
                ISSUER_V1 if signer.issuer.is_empty() => signer.issuer = text(extension.value)?,
                _ => {}
            }
        }
        let unreadable = |e: x509_parser::error::X509Error| Flaw::Unreadable("the certificate", e.to_string());
        let Some(names) = self.certificate.subject_alternative_name().map_err(unreadable)? else {
            return Ok(signer);
        };
        for name in &names.value.general_names {
            match name {
                GeneralName::RFC822Name(name) | GeneralName::URI(name) => signer.names.push((*name).to_owned()),
                GeneralName::OtherName(kind, value) if kind.to_id_string() == OTHER_NAME => {
                    signer.names.push(utf8(explicit(value))?);
                }
                _ => {}
            }
        }
        Ok(signer)
    }

    /// Checks that an authority of the trust root issued the certificate, for signing, that it was good at this time,
    /// and that it was published.
    pub fn trusted_at(&self, at: Timestamp, chain: &[Vec<u8>], root: &TrustRoot) -> Result<(), Flaw> {
        self.good_at(at)?;
        let others: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        issued(
            self.der,
            &others,
            &root.authorities,
            at,
            KeyUsage::required_if_present(CODE_SIGNING),
        )
        .map_err(Flaw::Stranger)?;
        let issuers = root.authorities.iter().flat_map(|authority| &authority.chain);
        sct::check(&self.certificate, issuers.chain(chain), &root.certificate_logs)
    }

    fn good_at(&self, at: Timestamp) -> Result<(), Flaw> {
        let validity = self.certificate.validity();
        let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).unwrap_or_default();
        let (from, until) = (time(validity.not_before), time(validity.not_after));
        if at < from || until < at {
            return Err(Flaw::NotThen { from, until, at });
        }
        match self.certificate.extended_key_usage() {
            Ok(Some(usage)) if usage.value.code_signing => Ok(()),
            _ => Err(Flaw::OtherUse),
        }
    }
}

/// Checks that one of the authorities issued a certificate; the error says why the last of them did not.
pub(super) fn issued(
    leaf: &[u8],
    others: &[&[u8]],
    authorities: &[Authority],
    at: Timestamp,
    usage: KeyUsage,
) -> Result<(), String> {
    let der = CertificateDer::from(leaf);
    let leaf = EndEntityCert::try_from(&der).map_err(|e| e.to_string())?;
    let seconds = u64::try_from(at.as_second()).map_err(|_| "the time is before 1970".to_owned())?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let mut why = "none was trusted at that time".to_owned();
    for authority in authorities.iter().filter(|authority| authority.valid.contains(at)) {
        let Some((root, between)) = authority.chain.split_last() else {
            continue;
        };
        let root = CertificateDer::from(root.as_slice());
        let anchor = webpki::anchor_from_trusted_cert(&root).map_err(|e| e.to_string())?;
        let between = between.iter().map(|der| CertificateDer::from(der.as_slice()));
        let between: Vec<_> = between
            .chain(others.iter().map(|der| CertificateDer::from(*der)))
            .collect();
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        match leaf.verify_for_usage(algorithms, &[anchor], &between, time, usage, None, None) {
            Ok(_) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

fn text(bytes: &[u8]) -> Result<String, Flaw> {
    let text = std::str::from_utf8(bytes).map_err(|e| Flaw::Unreadable("the certificate", e.to_string()))?;
    Ok(text.to_owned())
}

/// The text of a UTF8String.
fn utf8(der: &[u8]) -> Result<String, Flaw> {
    match pki::der::split(der) {
        Some((0x0c, content, [])) => text(content),
        _ => Err(Flaw::Unreadable(
            "the certificate",
            "a name in it is no UTF8String".to_owned(),
        )),
    }
}

/// The content of the tag `[0]` that a name of another form is in, where it is still there.
fn explicit(der: &[u8]) -> &[u8] {
    match pki::der::split(der) {
        Some((0xa0, content, [])) => content,
        _ => der,
    }
}
