//! Certificates that this node issues or is issued: made when their names or authority change, and at half their life.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use node_resources::cluster::Member;
use node_resources::config::{MachineKind, MachineType as MachineTypeResource};
use node_resources::k8s::Endpoint;
use node_resources::secrets::{ApiCertificates, CertSAN, OSRootSecrets, TrustdCertificates};
use node_resources::types::AcceptedCA;
use pki::{Authority, CertAndKey, Csr, KeyKind, PrivateKey, Request, Usage};
use resource::{All, Context, Named, One, Outcome, Outputs, Reconcile};

use crate::clock::Clock;

/// Lifetime of the machine API's certificates (the interface's 24 hours).
const API_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Time between two tries to be issued a certificate.
const RETRY: Duration = Duration::from_millis(500);

resource::id!(
    /// The names of the machine API.
    pub ApiNames = "api"
);

/// Longest time between two looks at the clock: it may be set, and a timer does not notice.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Something issued from inputs, kept until the inputs change or half its life is over.
pub struct Issued<K, V> {
    clock: Clock,
    last: Option<Last<K, V>>,
}

struct Last<K, V> {
    inputs: K,
    value: V,
    issued: SystemTime,
    renew: SystemTime,
}

impl<K, V> Default for Issued<K, V> {
    fn default() -> Self {
        Self::by(Clock::default())
    }
}

impl<K, V> Issued<K, V> {
    /// Nothing issued yet; a clock to go by.
    pub fn by(clock: Clock) -> Self {
        Self { clock, last: None }
    }

    /// What time it is.
    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

impl<K: PartialEq, V: Clone> Issued<K, V> {
    /// What was issued for these inputs, if it is still fresh, and when to look again. A clock that was set back makes
    /// it stale: it would be valid in the future only.
    pub fn fresh(&self, inputs: &K, now: SystemTime) -> Option<(V, Duration)> {
        let last = self.last.as_ref()?;
        let left = last.renew.duration_since(now).ok()?;
        let fresh = last.inputs == *inputs && !left.is_zero() && last.issued <= now;
        fresh.then(|| (last.value.clone(), left.min(LOOK_AGAIN)))
    }

    /// What is fresh, or is made now; and when to look again.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn get(
        &mut self,
        inputs: K,
        lifetime: Duration,
        make: impl FnOnce(SystemTime) -> anyhow::Result<V>,
    ) -> anyhow::Result<(V, Duration)> {
        let now = self.now();
        if let Some(fresh) = self.fresh(&inputs, now) {
            return Ok(fresh);
        }
        let value = make(now)?;
        let left = self.keep(inputs, value.clone(), lifetime, now);
        Ok((value, left))
    }

    /// Remembers what was issued, until half the life of its shortest certificate is over; gives when to look again.
    pub fn keep(&mut self, inputs: K, value: V, lifetime: Duration, now: SystemTime) -> Duration {
        self.last = Some(Last {
            inputs,
            value,
            issued: now,
            renew: now + lifetime / 2,
        });
        (lifetime / 2).min(LOOK_AGAIN)
    }
}

/// The machine API's own certificates. A control plane issues them itself; a worker asks a control plane's trustd.
#[derive(Default)]
pub struct Api {
    issued: Issued<(OSRootSecrets, CertSAN), ApiCertificates>,
    /// Why the last try to be issued one failed: said once, not at every try.
    refused: String,
}

impl Api {
    /// Certificates by a clock.
    pub fn by(clock: Clock) -> Self {
        Self {
            issued: Issued::by(clock),
            refused: String::new(),
        }
    }
}

type ApiInputs = (
    One<MachineTypeResource>,
    One<OSRootSecrets>,
    Named<CertSAN, ApiNames>,
    All<Endpoint>,
    All<Member>,
);

impl Reconcile for Api {
    type Inputs = ApiInputs;
    type Outputs = Outputs<ApiCertificates>;

    async fn reconcile(
        &mut self,
        (kind, root, names, endpoints, members): ApiInputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        let now = self.issued.now();
        let key = ((*root).clone(), (*names).clone());
        if let Some((certificates, left)) = self.issued.fresh(&key, now) {
            return Ok(Outcome::done(Outputs::one("api", certificates)).requeue(left));
        }
        let mut certificates = ApiCertificates {
            accepted_cas: root.accepted_cas.clone(),
            ..ApiCertificates::default()
        };
        if kind.0 == MachineKind::ControlPlane {
            let authority = Authority::from_pair(&root.issuing_ca).context("use machine.ca to issue certificates")?;
            certificates.server = authority.sign(&server(&names, now))?;
            certificates.client = authority.sign(
                &Request::client(KeyKind::Ed25519, &names.fqdn, &["os:impersonator"], now).with_ttl(API_LIFETIME),
            )?;
        } else {
            match from_trustd(&root, &names, &endpoints, &members).await {
                Ok(server) => certificates.server = server,
                Err(error) => {
                    let reason = format!("{error:#}");
                    if reason != self.refused {
                        tracing::info!("a certificate for the machine API: not yet: {reason}");
                        self.refused = reason;
                    }
                    return Ok(Outcome::unchanged().requeue(RETRY));
                }
            }
        }
        let left = self.issued.keep(key, certificates.clone(), API_LIFETIME, now);
        Ok(Outcome::done(Outputs::one("api", certificates)).requeue(left))
    }
}

fn server(names: &CertSAN, now: SystemTime) -> Request {
    Request {
        usage: Usage::Server,
        ..Request::server(
            KeyKind::Ed25519,
            &names.fqdn,
            names.dns_names.clone(),
            names.ips.clone(),
            now,
        )
    }
    .with_ttl(API_LIFETIME)
}

/// Asks the control planes in turn: the static endpoint first, then those that discovery found.
async fn from_trustd(
    root: &OSRootSecrets,
    names: &CertSAN,
    endpoints: &All<Endpoint>,
    members: &All<Member>,
) -> anyhow::Result<CertAndKey> {
    let mut candidates: Vec<String> = Vec::new();
    let mut add = |host: String| {
        if !candidates.contains(&host) {
            candidates.push(host);
        }
    };
    for (_, endpoint) in endpoints.iter() {
        endpoint.addresses.iter().for_each(|a| add(a.to_string()));
        endpoint.hosts.iter().cloned().for_each(&mut add);
    }
    for (_, member) in members.iter().filter(|(_, m)| m.control_plane.is_some()) {
        member.addresses.iter().for_each(|a| add(a.to_string()));
    }
    anyhow::ensure!(!candidates.is_empty(), "no control plane is known");
    let accepted = AcceptedCA::bundle(&root.accepted_cas);
    let key = PrivateKey::generate(KeyKind::Ed25519)?;
    let csr = Csr::create(&key, &names.fqdn, &[], &names.dns_names, &names.ips)?;
    let tls = pki::tls::client_config(&accepted, None)?;
    let signed = api::trustd::sign_request(&candidates, &tls, &root.token.clone().into(), &csr).await?;
    Ok(CertAndKey {
        crt: signed.crt,
        key: key.to_pem()?,
    })
}

/// trustd's own server certificate; control planes only.
#[derive(Default)]
pub struct Trustd {
    issued: Issued<(OSRootSecrets, CertSAN), TrustdCertificates>,
}

impl Reconcile for Trustd {
    type Inputs = (One<MachineTypeResource>, One<OSRootSecrets>, Named<CertSAN, ApiNames>);
    type Outputs = Outputs<TrustdCertificates>;

    async fn reconcile(
        &mut self,
        (kind, root, names): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        if kind.0 != MachineKind::ControlPlane {
            return Ok(Outcome::done(Outputs::none()));
        }
        let now = self.issued.now();
        let key = ((*root).clone(), (*names).clone());
        if let Some((certificates, left)) = self.issued.fresh(&key, now) {
            return Ok(Outcome::done(Outputs::one("trustd", certificates)).requeue(left));
        }
        let authority = Authority::from_pair(&root.issuing_ca).context("use machine.ca to issue certificates")?;
        let certificates = TrustdCertificates {
            accepted_cas: root.accepted_cas.clone(),
            server: authority.sign(&server(&names, now))?,
        };
        let left = self.issued.keep(key, certificates.clone(), API_LIFETIME, now);
        Ok(Outcome::done(Outputs::one("trustd", certificates)).requeue(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_kept_until_half_its_life_or_a_change_of_names() {
        let mut issued: Issued<&str, u32> = Issued::default();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(issued.fresh(&"a", now), None);
        issued.keep("a", 7, Duration::from_secs(100), now);
        assert_eq!(
            issued.fresh(&"a", now + Duration::from_secs(10)),
            Some((7, Duration::from_secs(40)))
        );
        assert_eq!(issued.fresh(&"a", now - Duration::from_secs(1)), None);
        assert_eq!(issued.fresh(&"b", now + Duration::from_secs(10)), None);
        assert_eq!(issued.fresh(&"a", now + Duration::from_secs(50)), None);
    }
}
