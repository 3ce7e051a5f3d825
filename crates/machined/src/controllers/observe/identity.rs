//! Who this node is to others: a random id that it keeps.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use node_resources::cluster::Identity;
use resource::{Context, Outcome, Outputs, Reconcile};

/// The identity's file in the state folder.
const FILE: &str = "node-identity.yaml";
/// Digits and letters of an id (base 62).
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 44 letters hold 261 bits: more than the 256 that make guessing and meeting impossible.
const LENGTH: usize = 44;
/// Other programs that write such files make ids of 32 bytes, which are a few letters shorter or longer.
const ACCEPTED: std::ops::RangeInclusive<usize> = 40..=48;

/// Makes the identity at the first start, and reads it at every other.
pub struct NodeIdentity {
    path: PathBuf,
}

impl NodeIdentity {
    /// The identity kept in a folder (`/system/state`).
    pub fn new(state: &Path) -> Self {
        Self { path: state.join(FILE) }
    }

    fn load_or_make(&self) -> anyhow::Result<Identity> {
        let path = self.path.display();
        match std::fs::read_to_string(&self.path) {
            Ok(text) => read(&text).with_context(|| {
                format!(
                    "read the node's identity from {path} (bring the file back; or remove it: the node then gets a new \
                     identity, and others see the old one until it expires)"
                )
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let identity = Identity { node_id: random_id()? };
                let text = resource::yaml::to_string(&identity)?;
                sys::files::write_atomic(&self.path, text.as_bytes(), 0o600)
                    .with_context(|| format!("keep the node's new identity in {path}"))?;
                Ok(identity)
            }
            Err(error) => Err(error).with_context(|| format!("read the node's identity from {path}")),
        }
    }
}

impl Reconcile for NodeIdentity {
    type Inputs = ();
    type Outputs = Outputs<Identity>;

    async fn reconcile(&mut self, (): (), _: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        Ok(Outcome::done(Outputs::one("local", self.load_or_make()?)))
    }
}

fn read(text: &str) -> anyhow::Result<Identity> {
    let identity: Identity = resource::yaml::from_str(text).map_err(anyhow::Error::msg)?;
    let id = &identity.node_id;
    let well_formed = ACCEPTED.contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    anyhow::ensure!(
        well_formed,
        "nodeId: {id:?} is no node id ({LENGTH} letters and digits)"
    );
    Ok(identity)
}

/// Letters drawn evenly: bytes from 248 on would make the first eight letters likelier (248 = 4 · 62).
fn random_id() -> anyhow::Result<String> {
    let mut id = String::with_capacity(LENGTH);
    let mut bytes = [0; 2 * LENGTH];
    while id.len() < LENGTH {
        sys::host::random(&mut bytes).context("make the node's identity")?;
        let even = bytes.iter().filter(|byte| **byte < 248);
        let letters = even.map(|byte| char::from(LETTERS[usize::from(byte % 62)]));
        id.extend(letters.take(LENGTH - id.len()));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_identity_is_made_once_and_kept() {
        let state = tempfile::tempdir().unwrap();
        let node = NodeIdentity::new(state.path());
        let identity = node.load_or_make().unwrap();
        assert_eq!(identity.node_id.len(), 44);
        assert_eq!(node.load_or_make().unwrap(), identity);
        let file = state.path().join("node-identity.yaml");
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            format!("nodeId: {}\n", identity.node_id)
        );
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(NodeIdentity::new(other.path()).load_or_make().unwrap(), identity);
    }

    #[test]
    fn an_identity_of_the_wire_format_is_read() {
        let identity = read("nodeId: FqpEqQbN6b2xO9PseoTtae2gQ6n58zeVPRT8fk6L9g5B\n").unwrap();
        assert_eq!(identity.node_id, "FqpEqQbN6b2xO9PseoTtae2gQ6n58zeVPRT8fk6L9g5B");
    }

    #[test]
    fn a_broken_identity_is_an_error_that_says_what_to_do_and_is_not_replaced() {
        for text in ["", "nodeId: short\n", "nodeId: [\n"] {
            let state = tempfile::tempdir().unwrap();
            let file = state.path().join("node-identity.yaml");
            std::fs::write(&file, text).unwrap();
            let error = format!("{:#}", NodeIdentity::new(state.path()).load_or_make().unwrap_err());
            assert!(
                error.contains("node-identity.yaml") && error.contains("remove it"),
                "{error}"
            );
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
    }
}
