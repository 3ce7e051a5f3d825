//! Reading certificates.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension, SubjectAlternativeName};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use crate::{Error, pem};

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertInfo {
    /// Subject as one line, for people.
    pub subject: String,
    /// Issuer as one line, for people.
    pub issuer: String,
    /// CN of the subject.
    pub common_name: String,
    /// Every O of the subject.
    pub organizations: Vec<String>,
    /// Beginning of validity.
    pub not_before: SystemTime,
    /// End of validity.
    pub not_after: SystemTime,
    /// DNS names.
    pub dns_names: Vec<String>,
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// SHA-256 of the certificate's DER, in lower-case hexadecimal.
    pub fingerprint: String,
}

impl CertInfo {
    /// All names and addresses as text.
    pub fn sans(&self) -> Vec<String> {
        self.dns_names
            .iter()
            .cloned()
            .chain(self.ips.iter().map(IpAddr::to_string))
            .collect()
    }

    /// The time at which a new one should be made: half of its life.
    pub fn renew_at(&self) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_before + life / 2
    }

    /// Whether `now` lies inside its validity.
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

/// Reads the first certificate of a PEM text.
pub fn cert_info(text: &[u8]) -> Result<CertInfo, Error> {
    cert_info_der(&pem::certificates(text)?[0])
}

/// Reads a certificate from DER.
pub fn cert_info_der(bytes: &[u8]) -> Result<CertInfo, Error> {
    let certificate = parse(bytes)?;
    let (dns_names, ips) = match certificate.subject_alternative_name() {
        Ok(Some(names)) => alternative_names(names.value),
        _ => Default::default(),
    };
    let time = |t: &x509_parser::time::ASN1Time| UNIX_EPOCH + Duration::from_secs(t.timestamp().max(0).unsigned_abs());
    Ok(CertInfo {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        common_name: common_name(certificate.subject()),
        organizations: organizations(certificate.subject()),
        not_before: time(&certificate.validity().not_before),
        not_after: time(&certificate.validity().not_after),
        dns_names,
        ips,
        is_authority: certificate.is_ca(),
        fingerprint: hex(digest(&SHA256, bytes).as_ref()),
    })
}

/// Whether an authority signed a certificate: the first of each PEM text. When they are valid does not matter.
pub fn is_issued_by(certificate: &[u8], authority: &[u8]) -> Result<bool, Error> {
    let (certificate, authority) = (pem::certificates(certificate)?, pem::certificates(authority)?);
    let (certificate, authority) = (parse(&certificate[0])?, parse(&authority[0])?);
    Ok(certificate.issuer() == authority.subject()
        && certificate.verify_signature(Some(authority.public_key())).is_ok())
}

pub(crate) fn parse(bytes: &[u8]) -> Result<X509Certificate<'_>, Error> {
    let (_, certificate) = X509Certificate::from_der(bytes).map_err(|e| Error::Parse {
        what: "certificate",
        reason: e.to_string(),
    })?;
    Ok(certificate)
}

pub(crate) fn common_name(name: &X509Name<'_>) -> String {
    name.iter_common_name()
        .next()
        .and_then(|cn| cn.as_str().ok())
        .unwrap_or_default()
        .to_owned()
}

pub(crate) fn organizations(name: &X509Name<'_>) -> Vec<String> {
    name.iter_organization()
        .filter_map(|o| o.as_str().ok())
        .filter(|o| !o.is_empty())
        .map(str::to_owned)
        .collect()
}

pub(crate) fn subject_key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        })
}

pub(crate) fn alternative_names(names: &SubjectAlternativeName<'_>) -> (Vec<String>, Vec<IpAddr>) {
    let mut dns_names = Vec::new();
    let mut ips = Vec::new();
    for name in &names.general_names {
        match name {
            GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                if let Ok(v4) = <[u8; 4]>::try_from(*bytes) {
                    ips.push(IpAddr::from(v4));
                } else if let Ok(v6) = <[u8; 16]>::try_from(*bytes) {
                    ips.push(IpAddr::from(v6));
                }
            }
            _ => {}
        }
    }
    (dns_names, ips)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
