//! What a node believes of the others: the service's messages, opened and checked.
//!
//! The service is not trusted: it may show things sealed with another key, changed, under another's name, or old. What
//! does not hold is left out and told as a [`Problem`]; what was known before stays. Something old can be told from
//! something new only by having seen what came between: a node seals anew only when it has something new to say, so
//! bytes that were replaced before must not come back.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::proto::{client, server};
use crate::seal::{self, Key};

/// Affiliates of a cluster that are kept: as many as the service takes.
const AFFILIATES: usize = 1024;
/// Replaced data that are remembered of each affiliate.
const REMEMBERED: usize = 32;
/// Affiliates, also gone ones, of which they are.
const REMEMBERED_AFFILIATES: usize = 2 * AFFILIATES;

/// Another node.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// What it says of itself.
    pub affiliate: client::Affiliate,
    /// Where it can be reached (by the mesh), as it or others say.
    pub endpoints: Vec<SocketAddr>,
}

/// Something the service showed that is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An affiliate cannot be opened.
    #[error("affiliate: {0}")]
    Affiliate(seal::Error),
    /// An endpoint cannot be opened; the others are used.
    #[error("endpoint: {0}")]
    Endpoint(seal::Error),
    /// What one node said is shown as what another one says.
    #[error("it is what node {0:?} says of itself, shown under another name")]
    Misnamed(String),
    /// What the node said before it said something else is shown again.
    #[error("it is older than what was shown before")]
    Replayed,
    /// There are more affiliates than a cluster can have.
    #[error("the cluster has more than {AFFILIATES} affiliates")]
    TooMany,
}

type Digest = [u8; 16];

/// The others, by affiliate id.
#[derive(Debug)]
pub struct View {
    key: Arc<Key>,
    own: String,
    peers: BTreeMap<String, Peer>,
    problems: BTreeMap<String, Problem>,
    /// Others that were known before the last watch began, and that it has not shown.
    missing: BTreeSet<String>,
    /// The digest of what each one says, and of what it said before.
    said: HashMap<String, (Digest, VecDeque<Digest>)>,
}

impl View {
    /// Nobody yet, as seen by the affiliate `own`.
    pub fn new(key: Arc<Key>, own: String) -> View {
        View {
            key,
            own,
            peers: BTreeMap::new(),
            problems: BTreeMap::new(),
            missing: BTreeSet::new(),
            said: HashMap::new(),
        }
    }

    /// The others.
    pub fn peers(&self) -> &BTreeMap<String, Peer> {
        &self.peers
    }

    /// What is wrong at the moment, by affiliate id.
    pub fn problems(&self) -> &BTreeMap<String, Problem> {
        &self.problems
    }

    /// The first message of a watch: this is all that the service knows. Others that it does not know (any more) stay
    /// until [`View::drop_missing`]: a service that lost its state is told again soon.
    pub fn replace(&mut self, message: &server::WatchResponse) {
        let there = |id: &String| message.affiliates.iter().any(|affiliate| affiliate.id == *id);
        self.missing = self.peers.keys().filter(|id| !there(id)).cloned().collect();
        self.problems.retain(|id, _| there(id));
        self.change(message);
    }

    /// Whether others are known that the service has not shown since the watch began.
    pub fn has_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Forgets those others.
    pub fn drop_missing(&mut self) {
        for id in std::mem::take(&mut self.missing) {
            self.peers.remove(&id);
        }
    }

    /// A later message.
    pub fn change(&mut self, message: &server::WatchResponse) {
        for affiliate in &message.affiliates {
            self.missing.remove(&affiliate.id);
            if message.deleted {
                self.peers.remove(&affiliate.id);
                self.problems.remove(&affiliate.id);
            } else if affiliate.id != self.own {
                self.learn(affiliate);
            }
        }
    }

    fn learn(&mut self, shown: &server::Affiliate) {
        let known = self.peers.contains_key(&shown.id) || self.problems.contains_key(&shown.id);
        if !known && self.peers.len() + self.problems.len() >= AFFILIATES {
            self.problems.insert(self.own.clone(), Problem::TooMany);
            return;
        }
        let mut problem = None;
        let open = |sealed: &bytes::Bytes| self.key.open_endpoint(sealed);
        let mut endpoints = Vec::new();
        for opened in shown.endpoints.iter().map(open) {
            match opened {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(error) => problem = Some(Problem::Endpoint(error)),
            }
        }
        match self.check(shown) {
            Ok(Some(affiliate)) => {
                self.peers.insert(shown.id.clone(), Peer { affiliate, endpoints });
            }
            // Others have seen it, and it has not said anything.
            Ok(None) => _ = self.peers.remove(&shown.id),
            Err(error) => {
                if let (Problem::Replayed, Some(peer)) = (&error, self.peers.get_mut(&shown.id)) {
                    peer.endpoints = endpoints;
                }
                problem = Some(error);
            }
        }
        match problem {
            Some(problem) => _ = self.problems.insert(shown.id.clone(), problem),
            None => _ = self.problems.remove(&shown.id),
        }
    }

    /// Opens what an affiliate says of itself, if it does.
    fn check(&mut self, shown: &server::Affiliate) -> Result<Option<client::Affiliate>, Problem> {
        if shown.data.is_empty() {
            return Ok(None);
        }
        let affiliate = self.key.open_affiliate(&shown.data).map_err(Problem::Affiliate)?;
        if affiliate.node_id != shown.id {
            return Err(Problem::Misnamed(affiliate.node_id));
        }
        self.remember(shown)?;
        Ok(Some(affiliate))
    }

    fn remember(&mut self, shown: &server::Affiliate) -> Result<(), Problem> {
        let mut now = Digest::default();
        let all = digest::digest(&digest::SHA256, &shown.data);
        now.iter_mut().zip(all.as_ref()).for_each(|(to, from)| *to = *from);
        if !self.said.contains_key(&shown.id) && self.said.len() >= REMEMBERED_AFFILIATES {
            let peers = &self.peers;
            self.said.retain(|id, _| peers.contains_key(id));
        }
        let (last, before) = self
            .said
            .entry(shown.id.clone())
            .or_insert_with(|| (now, VecDeque::new()));
        if before.contains(&now) {
            return Err(Problem::Replayed);
        }
        if *last != now {
            before.push_back(std::mem::replace(last, now));
            before.drain(..before.len().saturating_sub(REMEMBERED));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn key(byte: u8) -> Arc<Key> {
        Arc::new(Key::new(&[byte; 32]).unwrap())
    }

    fn view() -> View {
        View::new(key(1), "own".into())
    }

    /// What `node` says with `nonce`, sealed with `by`, shown as `id`.
    fn shown(id: &str, node: &str, by: u8, nonce: u8) -> server::Affiliate {
        let affiliate = client::Affiliate {
            node_id: node.into(),
            hostname: format!("{node}-{nonce}"),
            ..client::Affiliate::default()
        };
        let endpoint = "10.0.0.1:1".parse().unwrap();
        server::Affiliate {
            id: id.into(),
            data: key(by).seal_affiliate(&affiliate, [nonce; 12]).unwrap().into(),
            endpoints: vec![key(by).seal_endpoint(endpoint).unwrap().into()],
        }
    }

    fn message(affiliates: &[server::Affiliate], deleted: bool) -> server::WatchResponse {
        server::WatchResponse {
            affiliates: affiliates.to_vec(),
            deleted,
        }
    }

    fn hostnames(view: &View) -> Vec<&str> {
        view.peers()
            .values()
            .map(|peer| peer.affiliate.hostname.as_str())
            .collect()
    }

    #[test]
    fn others_are_known_until_they_are_deleted_or_missing_for_too_long() {
        let mut view = view();
        let (a, b) = (shown("a", "a", 1, 1), shown("b", "b", 1, 1));
        view.replace(&message(&[a.clone(), b.clone(), shown("own", "own", 1, 1)], false));
        assert_eq!(hostnames(&view), ["a-1", "b-1"]);
        view.change(&message(&[shown("a", "a", 1, 2)], false));
        assert_eq!(hostnames(&view), ["a-2", "b-1"]);
        view.change(&message(std::slice::from_ref(&b), true));
        assert_eq!(hostnames(&view), ["a-2"]);
        // A new watch of a service that knows less: who was known stays until the patience ends, or comes back.
        view.replace(&message(std::slice::from_ref(&b), false));
        assert_eq!(hostnames(&view), ["a-2", "b-1"]);
        view.replace(&message(&[], false));
        view.change(&message(std::slice::from_ref(&b), false));
        assert!(view.has_missing());
        view.drop_missing();
        assert_eq!(hostnames(&view), ["b-1"]);
        assert!(!view.has_missing() && view.problems().is_empty());
    }

    #[test]
    fn what_was_changed_or_misnamed_is_left_out_and_told() {
        let mut view = view();
        let mut broken = shown("c", "c", 1, 1);
        broken.data = Bytes::from_static(b"nonsense that nobody sealed, long enough");
        view.replace(&message(
            &[
                shown("a", "a", 2, 1),
                shown("b", "x", 1, 1),
                broken,
                shown("d", "d", 1, 1),
            ],
            false,
        ));
        assert_eq!(hostnames(&view), ["d-1"]);
        assert_eq!(view.problems()["a"], Problem::Affiliate(seal::Error::NotSealed));
        assert_eq!(view.problems()["b"], Problem::Misnamed("x".into()));
        assert!(view.problems().contains_key("c"));
        view.change(&message(&[shown("a", "a", 1, 1)], false));
        assert_eq!(hostnames(&view), ["a-1", "d-1"]);
        assert!(!view.problems().contains_key("a"));
    }

    #[test]
    fn what_was_replaced_does_not_come_back() {
        let mut view = view();
        let old = shown("a", "a", 1, 1);
        view.replace(&message(std::slice::from_ref(&old), false));
        view.change(&message(std::slice::from_ref(&old), false));
        assert!(view.problems().is_empty());
        view.change(&message(&[shown("a", "a", 1, 2)], false));
        view.change(&message(std::slice::from_ref(&old), false));
        assert_eq!(hostnames(&view), ["a-2"]);
        assert_eq!(view.problems()["a"], Problem::Replayed);
        // Also after it was deleted, by whomever.
        view.change(&message(std::slice::from_ref(&old), true));
        view.change(&message(&[old], false));
        assert!(hostnames(&view).is_empty());
        view.change(&message(&[shown("a", "a", 1, 3)], false));
        assert_eq!(hostnames(&view), ["a-3"]);
        assert!(view.problems().is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut view = view();
        for number in 0..3000 {
            let id = number.to_string();
            view.change(&message(&[shown(&id, &id, 1, 1)], false));
            if number % 2 == 0 {
                view.change(&message(&[shown(&id, &id, 1, 1)], true));
            }
        }
        assert!(view.peers().len() <= AFFILIATES);
        assert!(view.said.len() <= REMEMBERED_AFFILIATES + 1);
        assert_eq!(view.problems()["own"], Problem::TooMany);
        for nonce in 0..200 {
            view.change(&message(&[shown("1", "1", 1, nonce)], false));
        }
        assert!(view.said["1"].1.len() <= REMEMBERED);
    }
}
