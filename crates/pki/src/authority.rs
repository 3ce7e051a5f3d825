//! Certificate authorities and the certificates they issue.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::certificate::{Extensions, Name, Template};
use crate::request::Csr;
use crate::{CertAndKey, Error, KeyKind, PrivateKey, info, pem};

/// How much earlier than now a certificate begins to be valid, so that a clock a little behind still accepts it.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Lifetime of the authorities: ten years.
pub const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// TLS server.
    Server,
    /// TLS client.
    Client,
    /// Both (etcd peers).
    Peer,
    /// Signatures of programs, among them kernel images that UEFI firmware starts.
    CodeSigning,
}

/// A certificate to be made, with a new key.
#[derive(Clone, Debug)]
pub struct Request {
    /// Kind of the new key.
    pub key: KeyKind,
    /// CN; may be empty.
    pub common_name: String,
    /// One O each: roles of the machine API, groups of Kubernetes.
    pub organizations: Vec<String>,
    /// DNS names it is valid for.
    pub dns_names: Vec<String>,
    /// Addresses it is valid for.
    pub ips: Vec<IpAddr>,
    /// What it may be used for.
    pub usage: Usage,
    /// How long it is valid from `now`.
    pub ttl: Duration,
    /// The time of issue.
    pub now: SystemTime,
}

impl Request {
    /// A client certificate for a year.
    pub fn client(key: KeyKind, common_name: impl Into<String>, organizations: &[&str], now: SystemTime) -> Self {
        Self {
            key,
            common_name: common_name.into(),
            organizations: organizations.iter().map(|o| (*o).to_owned()).collect(),
            dns_names: Vec::new(),
            ips: Vec::new(),
            usage: Usage::Client,
            ttl: 365 * DAY,
            now,
        }
    }

    /// A server certificate for a day.
    pub fn server(
        key: KeyKind,
        common_name: impl Into<String>,
        dns_names: Vec<String>,
        ips: Vec<IpAddr>,
        now: SystemTime,
    ) -> Self {
        Self {
            key,
            common_name: common_name.into(),
            organizations: Vec::new(),
            dns_names,
            ips,
            usage: Usage::Server,
            ttl: DAY,
            now,
        }
    }

    /// The same with another lifetime.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }
}

/// An authority to be made.
#[derive(Clone, Debug)]
pub struct AuthorityRequest {
    /// Kind of its key.
    pub key: KeyKind,
    /// Its O; the aggregator authority has none.
    pub organization: Option<String>,
    /// How long it is valid from `now`.
    pub ttl: Duration,
    /// The time of making.
    pub now: SystemTime,
}

/// What an issuer grants to a certificate signing request, instead of what the request asks for.
#[derive(Clone, Debug)]
pub struct Terms {
    /// CN and O of the certificate; `None` takes the request's. A server that signs for others sets this.
    pub subject: Option<(String, Vec<String>)>,
    /// DNS names; `None` takes the request's.
    pub dns_names: Option<Vec<String>>,
    /// Addresses; `None` takes the request's.
    pub ips: Option<Vec<IpAddr>>,
    /// What it may be used for; never taken from the request.
    pub usage: Usage,
    /// How long the certificate is valid from `now`.
    pub ttl: Duration,
    /// The time of issue.
    pub now: SystemTime,
}

/// A certificate authority with its key.
pub struct Authority {
    pair: CertAndKey,
    key: PrivateKey,
    subject: Vec<u8>,
    key_id: Vec<u8>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("pair", &self.pair)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// The authority of the machine API: Ed25519, O=talos (clients know it by that name), ten years.
    pub fn new_os(now: SystemTime) -> Result<Self, Error> {
        Self::of("talos", KeyKind::Ed25519, now)
    }

    /// The authority of etcd: ECDSA P-256, O=etcd, ten years.
    pub fn new_etcd(now: SystemTime) -> Result<Self, Error> {
        Self::of("etcd", KeyKind::EcdsaP256, now)
    }

    /// The authority of Kubernetes: ECDSA P-256, O=kubernetes, ten years.
    pub fn new_kubernetes(now: SystemTime) -> Result<Self, Error> {
        Self::of("kubernetes", KeyKind::EcdsaP256, now)
    }

    /// The authority of the API aggregation layer: ECDSA P-256, empty subject, ten years.
    pub fn new_aggregator(now: SystemTime) -> Result<Self, Error> {
        Self::generate(&AuthorityRequest {
            key: KeyKind::EcdsaP256,
            organization: None,
            ttl: AUTHORITY_LIFETIME,
            now,
        })
    }

    fn of(organization: &str, key: KeyKind, now: SystemTime) -> Result<Self, Error> {
        Self::generate(&AuthorityRequest {
            key,
            organization: Some(organization.to_owned()),
            ttl: AUTHORITY_LIFETIME,
            now,
        })
    }

    /// Makes an authority.
    pub fn generate(request: &AuthorityRequest) -> Result<Self, Error> {
        let key = PrivateKey::generate(request.key)?;
        let subject = Name {
            common_name: "",
            organizations: request.organization.as_slice(),
        }
        .to_der();
        let spki = key.public_key()?;
        let template = Template {
            subject: subject.clone(),
            issuer: subject,
            not_before: request.now - CLOCK_SKEW,
            not_after: request.now + request.ttl,
            public_key: &spki,
            extensions: Extensions::Authority,
            issuer_key_id: None,
        };
        let crt = pem::encode(pem::CERTIFICATE, &template.sign(&key)?).into_bytes();
        Self::from_pair(&CertAndKey {
            crt,
            key: key.to_pem()?,
        })
    }

    /// Takes an authority from PEM; checks that the key is its own and that it may sign.
    pub fn from_pem(crt: &[u8], key: &[u8]) -> Result<Self, Error> {
        Self::from_pair(&CertAndKey {
            crt: crt.to_vec(),
            key: crate::Secret::new(key),
        })
    }

    /// Like [`Self::from_pem`], from a pair.
    pub fn from_pair(pair: &CertAndKey) -> Result<Self, Error> {
        let key = pair.check()?;
        let certificates = pem::certificates(&pair.crt)?;
        let parsed = info::parse(&certificates[0])?;
        if !parsed.is_ca() {
            return Err(Error::NotAuthority {
                subject: parsed.subject().to_string(),
            });
        }
        let subject = parsed.subject().as_raw().to_vec();
        let key_id = info::subject_key_id(&parsed)
            .unwrap_or_else(|| crate::certificate::key_id(parsed.tbs_certificate.subject_pki.raw));
        Ok(Self {
            pair: pair.clone(),
            key,
            subject,
            key_id,
        })
    }

    /// Certificate and key.
    pub fn pair(&self) -> &CertAndKey {
        &self.pair
    }

    /// The certificate as PEM.
    pub fn certificate(&self) -> &[u8] {
        &self.pair.crt
    }

    /// Makes a key and a certificate for it.
    pub fn sign(&self, request: &Request) -> Result<CertAndKey, Error> {
        let key = PrivateKey::generate(request.key)?;
        let spki = key.public_key()?;
        let name = Name {
            common_name: &request.common_name,
            organizations: &request.organizations,
        };
        let crt = self.issue(
            &spki,
            &name,
            &request.dns_names,
            &request.ips,
            request.usage,
            request.ttl,
            request.now,
        )?;
        Ok(CertAndKey {
            crt,
            key: key.to_pem()?,
        })
    }

    /// Signs a request on the given terms; returns the certificate as PEM.
    pub fn sign_csr(&self, csr: &Csr, terms: &Terms) -> Result<Vec<u8>, Error> {
        let (common_name, organizations) = match &terms.subject {
            Some((common_name, organizations)) => (common_name, organizations),
            None => (&csr.common_name, &csr.organizations),
        };
        let name = Name {
            common_name,
            organizations,
        };
        let dns_names = terms.dns_names.as_ref().unwrap_or(&csr.dns_names);
        let ips = terms.ips.as_ref().unwrap_or(&csr.ips);
        self.issue(
            &csr.public_key,
            &name,
            dns_names,
            ips,
            terms.usage,
            terms.ttl,
            terms.now,
        )
    }

    #[allow(clippy::too_many_arguments)] // each is one field of the certificate
    fn issue(
        &self,
        public_key: &[u8],
        name: &Name<'_>,
        dns_names: &[String],
        ips: &[IpAddr],
        usage: Usage,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Vec<u8>, Error> {
        let template = Template {
            subject: name.to_der(),
            issuer: self.subject.clone(),
            not_before: now - CLOCK_SKEW,
            not_after: now + ttl,
            public_key,
            extensions: Extensions::Leaf {
                usage,
                dns_names,
                ips,
                subject_empty: name.is_empty(),
            },
            issuer_key_id: Some(&self.key_id),
        };
        Ok(pem::encode(pem::CERTIFICATE, &template.sign(&self.key)?).into_bytes())
    }
}

/// A certificate signed by its own key: what a node shows before it has a configuration, what firmware knows a signer by.
pub fn self_signed(request: &Request) -> Result<CertAndKey, Error> {
    let key = PrivateKey::generate(request.key)?;
    let name = Name {
        common_name: &request.common_name,
        organizations: &request.organizations,
    };
    let spki = key.public_key()?;
    let template = Template {
        subject: name.to_der(),
        issuer: name.to_der(),
        not_before: request.now - CLOCK_SKEW,
        not_after: request.now + request.ttl,
        public_key: &spki,
        extensions: Extensions::Leaf {
            usage: request.usage,
            dns_names: &request.dns_names,
            ips: &request.ips,
            subject_empty: name.is_empty(),
        },
        issuer_key_id: None,
    };
    Ok(CertAndKey {
        crt: pem::encode(pem::CERTIFICATE, &template.sign(&key)?).into_bytes(),
        key: key.to_pem()?,
    })
}
