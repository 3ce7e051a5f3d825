//! Certificate signing requests (PKCS #10, RFC 2986).

use std::net::IpAddr;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use crate::certificate::{Name, alternative_names_extension};
use crate::{Error, PrivateKey, der, info, pem};

const EXTENSION_REQUEST: &[u32] = &[1, 2, 840, 113549, 1, 9, 14];

/// A parsed request whose signature has been checked: its sender has the private key.
/// What it asks for is only a wish; see [`crate::Terms`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr {
    /// CN asked for.
    pub common_name: String,
    /// Organizations asked for.
    pub organizations: Vec<String>,
    /// DNS names asked for.
    pub dns_names: Vec<String>,
    /// Addresses asked for.
    pub ips: Vec<IpAddr>,
    /// The public key, DER of a SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
}

impl Csr {
    /// Makes a request for a key; returns PEM.
    pub fn create(
        key: &PrivateKey,
        common_name: &str,
        organizations: &[String],
        dns_names: &[String],
        ips: &[IpAddr],
    ) -> Result<Vec<u8>, Error> {
        let attributes = if dns_names.is_empty() && ips.is_empty() {
            Vec::new()
        } else {
            let extensions = der::sequence(&[&alternative_names_extension(dns_names, ips)?]);
            der::sequence(&[&der::oid(EXTENSION_REQUEST), &der::set_of_one(&extensions)])
        };
        let info = der::sequence(&[
            &der::integer(&[0]),
            &Name {
                common_name,
                organizations,
            }
            .to_der(),
            &key.public_key()?,
            &der::element(0xa0, &attributes),
        ]);
        let signed = der::sequence(&[&info, &key.signature_algorithm(), &der::bit_string(&key.sign(&info)?)]);
        Ok(pem::encode(pem::REQUEST, &signed).into_bytes())
    }

    /// Reads a request and checks its signature.
    pub fn from_pem(text: &[u8]) -> Result<Self, Error> {
        let blocks = pem::decode(text)?;
        let found = blocks.first().map(|b| b.label.clone());
        let block = blocks
            .into_iter()
            .find(|b| b.label == pem::REQUEST || b.label == "NEW CERTIFICATE REQUEST")
            .ok_or(Error::NoPem {
                wanted: "certificate signing request",
                found,
            })?;
        Self::from_der(&block.der)
    }

    /// Like [`Self::from_pem`], from DER.
    pub fn from_der(bytes: &[u8]) -> Result<Self, Error> {
        let failed = |reason: String| Error::Parse {
            what: "certificate signing request",
            reason,
        };
        let (_, csr) = X509CertificationRequest::from_der(bytes).map_err(|e| failed(e.to_string()))?;
        csr.verify_signature()
            .map_err(|_| failed("its signature does not fit its key".into()))?;
        let subject = &csr.certification_request_info.subject;
        let mut out = Self {
            common_name: info::common_name(subject),
            organizations: info::organizations(subject),
            dns_names: Vec::new(),
            ips: Vec::new(),
            public_key: csr.certification_request_info.subject_pki.raw.to_vec(),
        };
        for extension in csr.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                let (dns_names, ips) = info::alternative_names(names);
                out.dns_names.extend(dns_names);
                out.ips.extend(ips);
            }
        }
        Ok(out)
    }
}
