//! The authorities of a cluster in a configuration: which one issues, which are accepted beside it, and the three
//! changes by which one is replaced while everything runs.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use config::authority::{self, Which};
//! use config::{Config, MachineType};
//! use std::time::SystemTime;
//!
//! let (old, new) = (pki::Authority::new_os(SystemTime::now())?, pki::Authority::new_os(SystemTime::now())?);
//! let config = Config::decode(b"version: v1alpha1\nmachine:\n    type: controlplane\n")?;
//! let config = authority::issue(&config, Which::Machine, old.pair())?;
//!
//! let both = authority::accept(&config, Which::Machine, new.certificate())?;
//! let swapped = authority::issue(&both, Which::Machine, new.pair())?;
//! let done = authority::forget(&swapped, Which::Machine, old.certificate())?;
//! assert_eq!(authority::issuing(&done, Which::Machine).as_ref(), Some(new.pair()));
//! assert!(authority::accepted(&done, Which::Machine).is_empty());
//! # Ok(())
//! # }
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::CertAndKey;

use crate::model::k8s::KubeAPIServerCAConfig;
use crate::problem::DecodeErrors;
use crate::schema::types::Kind as _;
use crate::yaml::node::Node;
use crate::{Config, Document, MachineType, view};

/// One of a cluster's authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Of the machine API: `machine.ca`.
    Machine,
    /// Of Kubernetes: `cluster.ca`, or a KubeAPIServerCAConfig.
    Kubernetes,
}

impl Which {
    /// The section of the main document that it stands in.
    fn section(self) -> &'static str {
        match self {
            Which::Machine => "machine",
            Which::Kubernetes => "cluster",
        }
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Which::Machine => "machine API",
            Which::Kubernetes => "Kubernetes",
        })
    }
}

/// The authority that issues; without its key on workers.
pub fn issuing(config: &Config, which: Which) -> Option<CertAndKey> {
    match which {
        Which::Machine => config.machine()?.ca.clone(),
        Which::Kubernetes => view::kubernetes_ca(config),
    }
}

/// The authorities that are accepted beside it, PEM.
pub fn accepted(config: &Config, which: Which) -> Vec<Vec<u8>> {
    match which {
        Which::Machine => {
            let listed = config.machine().into_iter().flat_map(|machine| &machine.accepted_cas);
            listed
                .filter_map(|ca| ca.crt.as_ref())
                .map(|crt| crt.0.clone())
                .collect()
        }
        Which::Kubernetes => view::accepted_kubernetes_cas(config),
    }
}

/// Whether two PEM texts begin with the same certificate, however they are laid out.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    let first = |text: &[u8]| pki::pem::certificates(text).ok()?.into_iter().next();
    one == other || first(one).is_some_and(|der| first(other) == Some(der))
}

/// Whether the authority issues or is accepted.
pub fn trusts(config: &Config, which: Which, crt: &[u8]) -> bool {
    issuing(config, which).is_some_and(|ca| same(&ca.crt, crt))
        || accepted(config, which).iter().any(|ca| same(ca, crt))
}

/// Has an authority accepted, unless it is already.
///
/// # Errors
/// The result is no configuration.
pub fn accept(config: &Config, which: Which, crt: &[u8]) -> Result<Config, DecodeErrors> {
    if trusts(config, which, crt) {
        return Ok(config.clone());
    }
    let mut accepted = accepted(config, which);
    accepted.push(crt.to_vec());
    write(config, which, None, &accepted)
}

/// Has an authority issue, with its key on control planes; the one that did is accepted from now on.
///
/// # Errors
/// The result is no configuration.
pub fn issue(config: &Config, which: Which, ca: &CertAndKey) -> Result<Config, DecodeErrors> {
    let before = issuing(config, which).filter(|old| !old.crt.is_empty());
    if before.as_ref().is_some_and(|old| same(&old.crt, &ca.crt)) {
        return Ok(config.clone());
    }
    let mut accepted = accepted(config, which);
    accepted.retain(|crt| !same(crt, &ca.crt));
    if let Some(old) = before
        && !accepted.iter().any(|crt| same(crt, &old.crt))
    {
        accepted.push(old.crt);
    }
    write(config, which, Some(ca), &accepted)
}

/// Has an authority accepted no more. The one that issues stays.
///
/// # Errors
/// The result is no configuration.
pub fn forget(config: &Config, which: Which, crt: &[u8]) -> Result<Config, DecodeErrors> {
    let mut accepted = accepted(config, which);
    let before = accepted.len();
    accepted.retain(|ca| !same(ca, crt));
    if accepted.len() == before {
        return Ok(config.clone());
    }
    write(config, which, None, &accepted)
}

/// The configuration with another issuing authority (if one is given) and these accepted ones, in the place where it
/// has its authority.
fn write(
    config: &Config,
    which: Which,
    issuing: Option<&CertAndKey>,
    accepted: &[Vec<u8>],
) -> Result<Config, DecodeErrors> {
    let own_document =
        |document: &Document| which == Which::Kubernetes && document.kind() == KubeAPIServerCAConfig::KIND;
    let in_document = config.documents().any(own_document);
    let with_key = config.machine_type() != Some(MachineType::Worker);
    let key = |ca: &CertAndKey| {
        let text = ca.key.expose_str().unwrap_or_default().to_owned();
        Some(text).filter(|text| with_key && !text.is_empty())
    };
    let text = |pem: &[u8]| String::from_utf8_lossy(pem).into_owned();
    let mut documents: Vec<Document> = config.documents().cloned().collect();
    for document in &mut documents {
        if own_document(document) {
            if let Some(ca) = issuing {
                let cert = [("cert", Node::text(text(&ca.crt)))].into_iter();
                let key = key(ca).map(|key| ("key", Node::text(key)));
                document.root.set(&["issuingCA"], Node::map(cert.chain(key)));
            }
            let list = Node::list(accepted.iter().map(|crt| Node::text(text(crt))));
            document.root.set(&["acceptedCAs"], list);
        } else if document.is_main() {
            let section = which.section();
            if let Some(ca) = issuing.filter(|_| !in_document) {
                let key = key(ca).map(|key| STANDARD.encode(key)).unwrap_or_default();
                let pair = [("crt", STANDARD.encode(&ca.crt)), ("key", key)];
                let pair = Node::map(pair.map(|(name, value)| (name, Node::text(value))));
                document.root.set(&[section, "ca"], pair);
            }
            // What stood here and there is in one place from now on.
            document.root.remove(&[section, "acceptedCAs"]);
            if !in_document && !accepted.is_empty() {
                let item = |crt: &Vec<u8>| Node::map([("crt", Node::text(STANDARD.encode(crt)))]);
                let list = Node::list(accepted.iter().map(item));
                document.root.set(&[section, "acceptedCAs"], list);
            }
        }
    }
    Config::from_documents(&documents)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use pki::Authority;

    use super::*;
    use crate::generate::{self, Contract, Input};
    use crate::secrets::SecretsBundle;

    const LEGACY: Contract = Contract { major: 1, minor: 13 };
    const DOCUMENTS: Contract = Contract { major: 1, minor: 14 };

    fn generated(contract: Contract) -> [Config; 2] {
        let secrets = SecretsBundle::generate(SystemTime::now(), contract).unwrap();
        let mut input = Input::new("c", "https://10.5.0.2:6443").unwrap();
        input.contract = contract;
        [
            generate::controlplane(&input, &secrets).unwrap(),
            generate::worker(&input, &secrets).unwrap(),
        ]
    }

    fn rotated(config: &Config, which: Which) {
        let new = match which {
            Which::Machine => Authority::new_os(SystemTime::now()),
            Which::Kubernetes => Authority::new_kubernetes(SystemTime::now()),
        };
        let new = new.unwrap();
        let old = issuing(config, which).unwrap().crt;
        let control_plane = config.machine_type() == Some(MachineType::ControlPlane);

        let both = accept(config, which, new.certificate()).unwrap();
        assert!(trusts(&both, which, new.certificate()) && trusts(&both, which, &old));
        assert_eq!(accept(&both, which, new.certificate()).unwrap(), both, "twice is once");

        let swapped = issue(&both, which, new.pair()).unwrap();
        let now = issuing(&swapped, which).unwrap();
        assert_eq!(now.crt, new.certificate());
        assert_eq!(!now.key.is_empty(), control_plane, "workers have no key");
        assert!(accepted(&swapped, which).iter().any(|crt| same(crt, &old)));
        assert_eq!(issue(&swapped, which, new.pair()).unwrap(), swapped, "twice is once");

        let done = forget(&swapped, which, &old).unwrap();
        assert!(!trusts(&done, which, &old) && accepted(&done, which).is_empty());
        assert_eq!(
            forget(&done, which, new.certificate()).unwrap(),
            done,
            "the issuing one stays"
        );
        done.validate(crate::Mode::Container).unwrap();
        let changed = crate::change::changes(config, &done);
        let ours =
            |path: &String| path.ends_with("ca.crt") || path.ends_with("ca.key") || path.contains("KubeAPIServerCA");
        assert!(changed.iter().all(ours), "{changed:?}");
    }

    #[test]
    fn an_authority_is_replaced_in_three_steps_that_change_nothing_else() {
        for contract in [LEGACY, DOCUMENTS] {
            for config in generated(contract) {
                rotated(&config, Which::Machine);
                rotated(&config, Which::Kubernetes);
            }
        }
    }

    #[test]
    fn an_authority_of_kubernetes_in_a_document_of_its_own_is_replaced_there() {
        let [control_plane, _] = generated(LEGACY);
        let ca = issuing(&control_plane, Which::Kubernetes).unwrap();
        let indent = |text: &str| text.lines().map(|line| format!("        {line}\n")).collect::<String>();
        let text = format!(
            "{}---\napiVersion: v1alpha1\nkind: KubeAPIServerCAConfig\nissuingCA:\n    cert: |\n{}    key: |\n{}",
            control_plane.encode_canonical(),
            indent(std::str::from_utf8(&ca.crt).unwrap()),
            indent(ca.key.expose_str().unwrap()),
        );
        let config = Config::decode(text.as_bytes()).unwrap();
        let new = Authority::new_kubernetes(SystemTime::now()).unwrap();
        let swapped = issue(&config, Which::Kubernetes, new.pair()).unwrap();
        assert!(same(
            &issuing(&swapped, Which::Kubernetes).unwrap().crt,
            new.certificate()
        ));
        assert!(same(&accepted(&swapped, Which::Kubernetes)[0], &ca.crt));
        assert_eq!(swapped.cluster().unwrap().ca, config.cluster().unwrap().ca);
    }
}
