//! That a certificate was published: the certificate transparency log's signature in it (SCT, RFC 6962).

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use x509_parser::extensions::{ParsedExtension, SignedCertificateTimestamp};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::flaw::Flaw;
use super::root::Log;

/// The identifier of the extension with the signatures, DER: 1.3.6.1.4.1.11129.2.4.2.
const EXTENSION: &[u8] = b"\x06\x0a\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x02";
/// The tag of a certificate's extensions.
const EXTENSIONS: u8 = 0xa3;

/// Checks that one of the logs signed the certificate. `issuers` are certificates among which is that of who issued it.
/// Without logs there is nothing to check.
pub(super) fn check<'a>(
    certificate: &X509Certificate<'_>,
    issuers: impl Iterator<Item = &'a Vec<u8>>,
    logs: &[Log],
) -> Result<(), Flaw> {
    if logs.is_empty() {
        return Ok(());
    }
    let mut signatures = certificate
        .extensions()
        .iter()
        .filter_map(|e| match e.parsed_extension() {
            ParsedExtension::SCT(list) => Some(list),
            _ => None,
        });
    let signatures = signatures.next().ok_or(Flaw::Unseen("it has no signature of one"))?;
    let unsigned = before(certificate.tbs_certificate.as_ref()).ok_or(Flaw::Unseen("it cannot be taken apart"))?;
    let keys: Vec<_> = issuers.filter_map(|der| key_of(der, certificate)).collect();
    let known = |signature: &SignedCertificateTimestamp<'_>| {
        let log = logs.iter().find(|log| log.id == signature.id.key_id)?;
        let at = Timestamp::from_millisecond(i64::try_from(signature.timestamp).ok()?).ok()?;
        log.valid.contains(at).then_some(log)
    };
    let mut why = "the logs that signed it are not trusted";
    for signature in signatures {
        let Some(log) = known(signature) else {
            continue;
        };
        let by_log = |key: &Vec<u8>| {
            let message = signed(signature, key, &unsigned);
            log.key.verifies(&message, signature.signature.data)
        };
        if signature.version.0 == 0 && keys.iter().any(by_log) {
            return Ok(());
        }
        why = "the log signed something else";
    }
    Err(Flaw::Unseen(why))
}

/// The hash of an issuer's key, if the certificate says it is by that one.
fn key_of(issuer: &[u8], certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    let (_, issuer) = X509Certificate::from_der(issuer).ok()?;
    let same = issuer.subject().as_raw() == certificate.issuer().as_raw();
    same.then(|| digest(&SHA256, issuer.public_key().raw).as_ref().to_vec())
}

/// What a log signs of a certificate that is going to have its signature (RFC 6962, 3.2).
pub(super) fn signed(signature: &SignedCertificateTimestamp<'_>, issuer_key: &[u8], unsigned: &[u8]) -> Vec<u8> {
    // Version 1, of a certificate.
    let mut message = vec![0, 0];
    message.extend(signature.timestamp.to_be_bytes());
    // That does not have the signature yet.
    message.extend([0, 1]);
    message.extend(issuer_key);
    message.extend(&(unsigned.len() as u32).to_be_bytes()[1..]);
    message.extend(unsigned);
    message.extend((signature.extensions.0.len() as u16).to_be_bytes());
    message.extend(signature.extensions.0);
    message
}

/// What is signed of a certificate, as it was before the logs' signatures came in.
pub(super) fn before(certificate: &[u8]) -> Option<Vec<u8>> {
    let (0x30, content, []) = pki::der::split(certificate)? else {
        return None;
    };
    let mut kept = Vec::new();
    for (tag, part) in Elements(content) {
        if tag == EXTENSIONS {
            kept.extend(without_signatures(part)?);
        } else {
            kept.extend(part);
        }
    }
    Some(pki::der::sequence(&[&kept]))
}

fn without_signatures(extensions: &[u8]) -> Option<Vec<u8>> {
    let (EXTENSIONS, list, []) = pki::der::split(extensions)? else {
        return None;
    };
    let (0x30, list, []) = pki::der::split(list)? else {
        return None;
    };
    let is_ours =
        |extension: &[u8]| pki::der::split(extension).is_some_and(|(_, content, _)| content.starts_with(EXTENSION));
    let kept: Vec<&[u8]> = Elements(list).map(|(_, e)| e).filter(|e| !is_ours(e)).collect();
    Some(pki::der::element(EXTENSIONS, &pki::der::sequence(&kept)))
}

/// The elements of a DER text, one after the other, each with its tag and as it stands there.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (tag, _, rest) = pki::der::split(self.0)?;
        let (element, rest_of_all) = self.0.split_at(self.0.len() - rest.len());
        self.0 = rest_of_all;
        Some((tag, element))
    }
}
