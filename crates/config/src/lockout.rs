//! Changes after which a running node is out of its operator's reach, or of its cluster's.

use std::fmt;

use pki::cert_info;

use crate::authority::{self, Which};
use crate::{Config, view};

/// A change that locks somebody out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// The field that changes.
    pub field: &'static str,
    /// What happens then.
    pub effect: &'static str,
    /// How to get what may be wanted.
    pub instead: &'static str,
}

impl fmt::Display for Lockout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.field, self.effect, self.instead)
    }
}

const AUTHORITY: Lockout = Lockout {
    field: "machine.ca",
    effect: "the authority changes, and the one before is accepted no more: nobody who can talk to this node now could \
             do so afterwards, nor could the other nodes of its cluster",
    instead: "keep the one before in machine.acceptedCAs, or use rotate-ca",
};
const CALLER: Lockout = Lockout {
    field: "machine.acceptedCAs",
    effect: "the authority of your own client certificate is accepted no more: this would be your last call",
    instead: "use a client certificate of the authority that stays",
};
const MACHINE_TYPE: Lockout = Lockout {
    field: "machine.type",
    effect: "the type of a running machine changes: etcd and Kubernetes keep what they know of the old one",
    instead: "reset the node, then apply the new configuration",
};
const CLUSTER: Lockout = Lockout {
    field: "cluster.id",
    effect: "this configuration belongs to another cluster: this node and the others would not find each other",
    instead: "to move a node to another cluster, reset it first",
};
const SECRET: Lockout = Lockout {
    field: "cluster.secret",
    effect: "the cluster's secret changes: this node could not read what the others tell of themselves, nor they of it",
    instead: "keep it; a cluster has one secret for all of its life",
};

/// What of a new configuration locks somebody out. `caller` is the SHA-256 of the certificate of the authority that
/// issued the caller's certificate, where it is known.
pub fn lockouts(old: &Config, new: &Config, caller: Option<&str>) -> Vec<Lockout> {
    let mut found = Vec::new();
    let issues = |config: &Config| authority::issuing(config, Which::Machine).map(|ca| ca.crt);
    let mut accepted = authority::accepted(new, Which::Machine);
    accepted.extend(issues(new));
    let accepts = |crt: &[u8]| accepted.iter().any(|ca| authority::same(ca, crt));
    if issues(old).is_some_and(|before| !accepts(&before)) {
        found.push(AUTHORITY);
    } else if caller.is_some_and(|caller| !accepted.iter().any(|ca| is(ca, caller))) {
        found.push(CALLER);
    }
    if old.machine_type() != new.machine_type() {
        found.push(MACHINE_TYPE);
    }
    let (before, after) = (view::discovery(old), view::discovery(new));
    if before.cluster_id != after.cluster_id {
        found.push(CLUSTER);
    }
    if before.cluster_secret != after.cluster_secret {
        found.push(SECRET);
    }
    found
}

fn is(crt: &[u8], fingerprint: &str) -> bool {
    cert_info(crt).is_ok_and(|info| info.fingerprint == fingerprint)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use pki::Authority;

    use super::*;
    use crate::generate::{self, Input};
    use crate::patch::{Patch, apply};
    use crate::secrets::SecretsBundle;

    fn cluster() -> (SecretsBundle, Input) {
        let input = Input::new("c", "https://10.5.0.2:6443").unwrap();
        (
            SecretsBundle::generate(SystemTime::now(), input.contract).unwrap(),
            input,
        )
    }

    fn fields(old: &Config, new: &Config, caller: Option<&str>) -> Vec<&'static str> {
        lockouts(old, new, caller).iter().map(|l| l.field).collect()
    }

    #[test]
    fn a_configuration_of_another_cluster_or_type_is_told_field_by_field() {
        let (secrets, input) = cluster();
        let (control_plane, worker) = (
            generate::controlplane(&input, &secrets).unwrap(),
            generate::worker(&input, &secrets).unwrap(),
        );
        assert_eq!(fields(&control_plane, &worker, None), ["machine.type"]);
        let (other, _) = cluster();
        let other = generate::worker(&input, &other).unwrap();
        assert_eq!(
            fields(&worker, &other, None),
            ["machine.ca", "cluster.id", "cluster.secret"]
        );
        let label = Patch::load(b"machine: {nodeLabels: {a: b}}").unwrap();
        assert_eq!(fields(&worker, &apply(&worker, &[label]).unwrap(), None), [""; 0]);
    }

    #[test]
    fn an_authority_that_is_replaced_step_by_step_locks_nobody_out_but_who_stayed_behind() {
        let (secrets, input) = cluster();
        let config = generate::controlplane(&input, &secrets).unwrap();
        let new = Authority::new_os(SystemTime::now()).unwrap();
        let id = |crt: &[u8]| cert_info(crt).unwrap().fingerprint;
        let old = authority::issuing(&config, Which::Machine).unwrap().crt;
        let (caller, successor) = (id(&old), id(new.certificate()));
        let both = authority::accept(&config, Which::Machine, new.certificate()).unwrap();
        let swapped = authority::issue(&both, Which::Machine, new.pair()).unwrap();
        let done = authority::forget(&swapped, Which::Machine, &old).unwrap();
        for (before, after) in [(&config, &both), (&both, &swapped)] {
            assert_eq!(fields(before, after, Some(&caller)), [""; 0]);
        }
        assert_eq!(fields(&swapped, &done, Some(&caller)), ["machine.acceptedCAs"]);
        assert_eq!(fields(&swapped, &done, Some(&successor)), [""; 0]);
        assert_eq!(fields(&config, &done, Some(&caller)), ["machine.ca"]);
    }
}
