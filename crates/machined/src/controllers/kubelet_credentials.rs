//! The kubelet's credentials on disk, and whether they still are those of the cluster.
//!
//! The kubelet keeps what it was given: a kubeconfig with the authorities it trusted when it joined, and a certificate
//! that it renews by itself long before it ends. When the cluster's authority is replaced, both have to follow. A clock
//! that is set leaves the kubelet with a certificate that has ended, or has not begun: with that it can ask for no other.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use k8s::{Auth, Kubeconfig};
use node_resources::secrets::KubeletSecrets;
use node_resources::types::AcceptedCA;
use sha2::{Digest, Sha256};

use crate::kubernetes::kubelet::{CERT_DIR, KUBECONFIG};

/// The kubelet's own names of its client certificates begin so; the newest is behind [`CURRENT`].
const CERTIFICATES: &str = "kubelet-client-";
/// The certificate it shows, with its key.
const CURRENT: &str = "kubelet-client-current.pem";

/// What the credentials should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The authority that issues, PEM.
    issuing: Vec<u8>,
    /// All that are trusted, PEM.
    trusted: Vec<u8>,
    /// The same, one by one.
    accepted: Vec<Vec<u8>>,
}

impl Wanted {
    /// By the node's secrets.
    ///
    /// # Errors
    /// There is no authority.
    pub fn of(secrets: &KubeletSecrets) -> anyhow::Result<Self> {
        let issuing = secrets.accepted_cas.first().context("the cluster has no authority")?;
        Ok(Self {
            issuing: issuing.crt.clone(),
            trusted: AcceptedCA::bundle(&secrets.accepted_cas),
            accepted: secrets.accepted_cas.iter().map(|ca| ca.crt.clone()).collect(),
        })
    }

    /// Changes with the authorities, and with every time that credentials were given up.
    pub fn version(&self, times: u32) -> String {
        let digest = Sha256::new()
            .chain_update(&self.trusted)
            .chain_update(times.to_be_bytes());
        digest.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
    }
}

/// What is to be done with the credentials.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// There are none yet.
    None,
    /// They are as wanted.
    Keep,
    /// The node issues them itself, and has not written the new ones yet.
    Wait,
    /// The certificate is good, and others have to be trusted: this kubeconfig says so.
    Retrust(Kubeconfig),
    /// They are of another authority, or of another time.
    GiveUp,
}

/// What is on disk.
#[derive(Default)]
pub struct Held {
    kubeconfig: Option<Kubeconfig>,
    /// The certificate that the kubelet keeps beside it, PEM.
    kept: Option<Vec<u8>>,
}

impl Held {
    /// Whether the kubelet has joined.
    pub fn exist(&self) -> bool {
        self.kubeconfig.is_some()
    }

    /// The certificate the kubelet shows: what it keeps comes before what the kubeconfig holds.
    fn shown(&self) -> Option<Vec<u8>> {
        self.kept.clone().or_else(|| self.given())
    }

    /// The certificate in the kubeconfig, or in the file that it names.
    fn given(&self) -> Option<Vec<u8>> {
        match self.kubeconfig.as_ref()?.options(None).ok()?.auth {
            Auth::Certificate(pair) => Some(pair.crt),
            _ => None,
        }
    }

    fn trusted(&self) -> Option<Vec<u8>> {
        self.kubeconfig.as_ref()?.ca()
    }

    /// SHA-256 of the certificate that is shown; empty without one.
    pub fn fingerprint(&self) -> String {
        self.shown().map(|crt| fingerprint(&crt)).unwrap_or_default()
    }

    /// SHA-256 of the authority that issued it, of those that are accepted; empty if none did.
    pub fn authority(&self, wanted: &Wanted) -> String {
        let Some(shown) = self.shown() else {
            return String::new();
        };
        let issuer = wanted.accepted.iter().find(|authority| issued(&shown, authority));
        issuer.map(|authority| fingerprint(authority)).unwrap_or_default()
    }

    /// What is to be done about them at a time.
    pub fn judge(&self, wanted: &Wanted, issued_here: bool, now: SystemTime) -> Verdict {
        let Some(kubeconfig) = &self.kubeconfig else {
            return Verdict::None;
        };
        let trusts = self.trusted().as_ref() == Some(&wanted.trusted);
        if issued_here {
            let Some(given) = self.given().filter(|crt| trusts && issued(crt, &wanted.issuing)) else {
                return Verdict::Wait;
            };
            // What it was given is renewed by the node; until then there is nothing better than what it keeps.
            let stale = |kept: &Vec<u8>| !issued(kept, &wanted.issuing) || (!valid(kept, now) && valid(&given, now));
            let stale = self.kept.as_ref().is_some_and(stale);
            return if stale { Verdict::GiveUp } else { Verdict::Keep };
        }
        match self.shown() {
            Some(crt) if !issued(&crt, &wanted.issuing) || !valid(&crt, now) => Verdict::GiveUp,
            // A kubelet that joins writes the kubeconfig first, and the certificate that it names when it is given one.
            _ if trusts => Verdict::Keep,
            None => Verdict::GiveUp,
            Some(_) => {
                let mut kubeconfig = kubeconfig.clone();
                kubeconfig.set_ca(&wanted.trusted);
                Verdict::Retrust(kubeconfig)
            }
        }
    }
}

fn issued(certificate: &[u8], authority: &[u8]) -> bool {
    pki::is_issued_by(certificate, authority).unwrap_or(false)
}

/// Whether it is valid at a time; what cannot be read is for others to complain about.
fn valid(certificate: &[u8], now: SystemTime) -> bool {
    pki::cert_info(certificate).map_or(true, |info| info.is_valid_at(now))
}

fn fingerprint(certificate: &[u8]) -> String {
    pki::cert_info(certificate)
        .map(|info| info.fingerprint)
        .unwrap_or_default()
}

/// Where they are.
pub struct Credentials {
    kubeconfig: PathBuf,
    folder: PathBuf,
}

impl Credentials {
    /// Below a root: `/` on a node, a folder in tests.
    pub fn below(root: &Path) -> Self {
        let place = |path: &str| root.join(path.trim_start_matches('/'));
        Self {
            kubeconfig: place(KUBECONFIG),
            folder: place(CERT_DIR),
        }
    }

    /// What is there; what cannot be read counts as missing, because the kubelet could not use it either.
    pub fn read(&self) -> Held {
        Held {
            kubeconfig: std::fs::read(&self.kubeconfig)
                .ok()
                .and_then(|text| Kubeconfig::parse(&text).ok()),
            kept: std::fs::read(self.folder.join(CURRENT)).ok(),
        }
    }

    /// Replaces the kubeconfig.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, kubeconfig: &Kubeconfig) -> anyhow::Result<()> {
        let text = kubeconfig.encode()?;
        sys::files::write_atomic(&self.kubeconfig, text.expose(), 0o600).context("write the kubelet's kubeconfig")?;
        Ok(())
    }

    /// Removes the certificates that the kubelet keeps, and its kubeconfig unless this node writes that itself: at its
    /// next start the kubelet takes what it finds, or joins again.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove(&self, issued_here: bool) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten() {
            let entry = entry.context("look for the kubelet's certificates")?;
            if entry.file_name().to_string_lossy().starts_with(CERTIFICATES) {
                gone(&entry.path())?;
            }
        }
        if issued_here { Ok(()) } else { gone(&self.kubeconfig) }
    }
}

fn gone(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s::kubeconfig::Entry;
    use pki::{Authority, KeyKind, Request};

    use super::*;

    fn authority() -> Authority {
        Authority::new_kubernetes(SystemTime::now()).unwrap()
    }

    fn wanted(authorities: &[&Authority]) -> Wanted {
        let accepted_cas = authorities.iter().map(|a| AcceptedCA {
            crt: a.certificate().to_vec(),
        });
        Wanted::of(&KubeletSecrets {
            accepted_cas: accepted_cas.collect(),
            ..KubeletSecrets::default()
        })
        .unwrap()
    }

    /// A folder with the credentials of a kubelet that joined when only this authority was there.
    fn joined(authority: &Authority) -> (tempfile::TempDir, Credentials) {
        joined_at(authority, SystemTime::now())
    }

    fn joined_at(authority: &Authority, now: SystemTime) -> (tempfile::TempDir, Credentials) {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::below(folder.path());
        std::fs::create_dir_all(&credentials.folder).unwrap();
        std::fs::create_dir_all(credentials.kubeconfig.parent().unwrap()).unwrap();
        let request = Request::client(KeyKind::EcdsaP256, "system:node:a", &["system:nodes"], now);
        let pair = authority.sign(&request).unwrap();
        std::fs::write(credentials.folder.join(CURRENT), &pair.crt).unwrap();
        let kubeconfig = Kubeconfig::new(&Entry {
            cluster: "c",
            user: "u",
            context: "x",
            server: "https://127.0.0.1:7445",
            ca: authority.certificate(),
            namespace: None,
            auth: &Auth::Certificate(pair),
        });
        credentials.write(&kubeconfig.unwrap()).unwrap();
        (folder, credentials)
    }

    #[test]
    fn a_workers_credentials_follow_a_rotation_step_by_step() {
        let (old, new) = (authority(), authority());
        let (_folder, credentials) = joined(&old);
        let judge = |wanted: &Wanted| credentials.read().judge(wanted, false, SystemTime::now());
        assert_eq!(judge(&wanted(&[&old])), Verdict::Keep);
        // Another one is accepted: the certificate stays, and the API may soon show one of the other's.
        let both = wanted(&[&old, &new]);
        let Verdict::Retrust(kubeconfig) = judge(&both) else {
            panic!("it has to trust both");
        };
        credentials.write(&kubeconfig).unwrap();
        assert_eq!(judge(&both), Verdict::Keep);
        assert_eq!(credentials.read().authority(&both), fingerprint(old.certificate()));
        // The other one issues: what the old one issued will end.
        let issuing = wanted(&[&new, &old]);
        assert_eq!(judge(&issuing), Verdict::GiveUp);
        credentials.remove(false).unwrap();
        assert_eq!(judge(&issuing), Verdict::None);
        assert!(!credentials.read().exist() && credentials.read().fingerprint().is_empty());
        assert_ne!(both.version(0), issuing.version(0));
        assert_ne!(issuing.version(0), issuing.version(1));
    }

    #[test]
    fn a_kubelet_that_is_joining_is_left_alone_unless_it_joins_by_an_old_authority() {
        let (old, new) = (authority(), authority());
        let (_folder, credentials) = joined(&old);
        let mut text = credentials.read().kubeconfig.unwrap().value().clone();
        text["users"][0]["user"] = serde_json::json!({
            "client-certificate": "/nowhere/kubelet-client-current.pem",
            "client-key": "/nowhere/kubelet-client-current.pem",
        });
        credentials
            .write(&Kubeconfig::parse(text.to_string().as_bytes()).unwrap())
            .unwrap();
        std::fs::remove_file(credentials.folder.join(CURRENT)).unwrap();
        assert_eq!(
            credentials.read().judge(&wanted(&[&old]), false, SystemTime::now()),
            Verdict::Keep
        );
        assert_eq!(
            credentials
                .read()
                .judge(&wanted(&[&new, &old]), false, SystemTime::now()),
            Verdict::GiveUp
        );
    }

    #[test]
    fn a_control_plane_waits_for_its_own_kubeconfig_and_drops_what_the_kubelet_kept() {
        let (old, new) = (authority(), authority());
        let (_folder, credentials) = joined(&old);
        let issuing = wanted(&[&new]);
        assert_eq!(
            credentials.read().judge(&issuing, true, SystemTime::now()),
            Verdict::Wait
        );
        // The kubeconfig is written by its own controller.
        let (_other, written) = joined(&new);
        credentials.write(&written.read().kubeconfig.unwrap()).unwrap();
        assert_eq!(
            credentials.read().judge(&issuing, true, SystemTime::now()),
            Verdict::GiveUp
        );
        credentials.remove(true).unwrap();
        assert!(credentials.read().exist());
        assert_eq!(
            credentials.read().judge(&issuing, true, SystemTime::now()),
            Verdict::Keep
        );
    }

    #[test]
    fn a_certificate_of_another_time_is_given_up_when_there_is_a_way_to_another() {
        let (authority, now) = (authority(), SystemTime::now());
        let wanted = wanted(&[&authority]);
        let (_folder, credentials) = joined(&authority);
        let later = now + Duration::from_secs(400 * 24 * 60 * 60);
        let earlier = now - Duration::from_secs(24 * 60 * 60);
        let judge = |issued_here, now| credentials.read().judge(&wanted, issued_here, now);
        // A worker's kubelet asks anew by its token.
        for time in [earlier, later] {
            assert_eq!(judge(false, time), Verdict::GiveUp);
        }
        assert_eq!(judge(false, now), Verdict::Keep);
        // A control plane has to issue another one first.
        assert_eq!(judge(true, later), Verdict::Keep);
        let (_other, renewed) = joined_at(&authority, later);
        credentials.write(&renewed.read().kubeconfig.unwrap()).unwrap();
        assert_eq!(judge(true, later), Verdict::GiveUp);
        assert_eq!(judge(true, now), Verdict::Keep);
    }
}
