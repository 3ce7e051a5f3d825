//! Detached signatures as PKCS #7 SignedData (RFC 2315), in the form that UEFI firmware accepts: version 1, one signer,
//! SHA-256 with RSA (PKCS #1 v1.5), no attributes, the signer's certificate inside and what is signed outside.

use crate::{Error, PrivateKey, der, info};

const DATA: &[u32] = &[1, 2, 840, 113549, 1, 7, 1];
const SIGNED_DATA: &[u32] = &[1, 2, 840, 113549, 1, 7, 2];
const SHA256: &[u32] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];
const RSA_ENCRYPTION: &[u32] = &[1, 2, 840, 113549, 1, 1, 1];

/// Signs bytes that are kept elsewhere; `certificate` is DER and belongs to `key`. Returns the DER of SignedData, bare:
/// with [`content_info`] around it, it is what most programs call a PKCS #7 file.
///
/// # Errors
/// The key is not RSA, or not that of the certificate, or the certificate cannot be read.
pub fn sign_detached(content: &[u8], certificate: &[u8], key: &PrivateKey) -> Result<Vec<u8>, Error> {
    if !key.is_rsa() {
        return Err(Error::NotRsa);
    }
    let signer = info::parse(certificate)?;
    if signer.tbs_certificate.subject_pki.raw != key.public_key()? {
        return Err(Error::Mismatch {
            subject: signer.subject().to_string(),
        });
    }
    let version = der::integer(&[1]);
    let digest = algorithm(SHA256);
    let issuer_and_serial = der::sequence(&[
        signer.issuer().as_raw(),
        &der::element(0x02, signer.tbs_certificate.raw_serial()),
    ]);
    let signer_info = der::sequence(&[
        &version,
        &issuer_and_serial,
        &digest,
        &algorithm(RSA_ENCRYPTION),
        &der::octet_string(&key.sign(content)?),
    ]);
    Ok(der::sequence(&[
        &version,
        &der::set_of_one(&digest),
        &der::sequence(&[&der::oid(DATA)]), // without content: it is detached
        &der::element(0xa0, certificate),
        &der::set_of_one(&signer_info),
    ]))
}

/// SignedData as a whole PKCS #7 message, which names its own type.
pub fn content_info(signed_data: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::oid(SIGNED_DATA), &der::element(0xa0, signed_data)])
}

/// An AlgorithmIdentifier whose parameters are NULL.
fn algorithm(oid: &[u32]) -> Vec<u8> {
    der::sequence(&[&der::oid(oid), &der::element(0x05, &[])])
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;
    use crate::{CertAndKey, KeyKind, Request, Usage, pem, self_signed};

    fn signer(kind: KeyKind) -> (CertAndKey, Vec<u8>, PrivateKey) {
        let mut request = Request::client(kind, "the signer", &[], SystemTime::now());
        request.usage = Usage::CodeSigning;
        let pair = self_signed(&request).unwrap();
        let certificate = pem::certificates(&pair.crt).unwrap().remove(0);
        let key = PrivateKey::from_pem(pair.key.expose()).unwrap();
        (pair, certificate, key)
    }

    /// The parts of a SEQUENCE, SET or explicit tag, whole.
    fn parts(element: &[u8]) -> Vec<&[u8]> {
        let (_, mut inside, after) = der::split(element).unwrap();
        assert!(after.is_empty());
        let mut all = Vec::new();
        while !inside.is_empty() {
            let (_, _, rest) = der::split(inside).unwrap();
            all.push(&inside[..inside.len() - rest.len()]);
            inside = rest;
        }
        all
    }

    #[test]
    fn a_signature_names_its_signer_and_is_checked_with_the_certificate_inside() {
        let (_, certificate, key) = signer(KeyKind::Rsa2048);
        let signed = sign_detached(b"content", &certificate, &key).unwrap();
        // Firmware looks for the digest's name at this place, behind lengths of two bytes.
        assert_eq!((signed[1], &signed[11..22]), (0x82, der::oid(SHA256).as_slice()));

        let all = parts(&signed);
        let [version, digests, content, certificates, signers] = all[..] else {
            panic!("{} parts", all.len())
        };
        assert_eq!(version, b"\x02\x01\x01");
        assert_eq!(parts(digests), [algorithm(SHA256)]);
        assert_eq!(parts(content), [der::oid(DATA)], "detached");
        assert_eq!(parts(certificates), [certificate.as_slice()]);
        let [info] = parts(signers)[..] else {
            panic!("one signer")
        };
        let info = parts(info);
        let parsed = info::parse(&certificate).unwrap();
        let serial = parts(info[1])[1];
        assert_eq!(der::split(serial).unwrap().1, parsed.tbs_certificate.raw_serial());
        assert_eq!(parts(info[1])[0], parsed.issuer().as_raw());
        assert_eq!(info.len(), 5, "no attributes");

        let (tag, signature, _) = der::split(info[4]).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, parsed.public_key().raw);
        assert_eq!(tag, 0x04);
        public.verify(b"content", signature).unwrap();
        assert!(public.verify(b"another", signature).is_err());
    }

    #[test]
    fn a_message_has_the_type_in_front() {
        let message = content_info(b"\x30\x00");
        assert_eq!(parts(&message)[0], der::oid(SIGNED_DATA));
        assert_eq!(parts(parts(&message)[1]), [b"\x30\x00"]);
    }

    #[test]
    fn a_certificate_for_signing_programs_says_so() {
        let (_, certificate, _) = signer(KeyKind::EcdsaP256);
        let parsed = info::parse(&certificate).unwrap();
        let usage = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.code_signing && !usage.server_auth && !usage.client_auth);
    }

    #[test]
    fn keys_that_do_not_fit_are_refused() {
        let (pair, certificate, key) = signer(KeyKind::EcdsaP256);
        assert!(matches!(sign_detached(b"", &certificate, &key), Err(Error::NotRsa)));
        let rsa = PrivateKey::generate(KeyKind::Rsa2048).unwrap();
        let refused = sign_detached(b"", &certificate, &rsa).unwrap_err().to_string();
        assert!(refused.contains("does not belong to the certificate"), "{refused}");
        assert!(pair.check().is_ok());
    }
}
