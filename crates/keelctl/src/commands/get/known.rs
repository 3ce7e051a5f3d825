//! What a watch has shown, so that it can go on after the node was away and tell only what differs.

use std::collections::{BTreeMap, BTreeSet};

use api::proto::cosi::resource::{EventType, Resource};

use super::print::Change;

/// Namespace and identifier.
type Key = (String, String);

/// The resources a watch has shown last.
#[derive(Debug, Default)]
pub struct Known {
    shown: BTreeMap<Key, Resource>,
    /// While the contents are told again: those that were.
    again: Option<BTreeSet<Key>>,
}

impl Known {
    /// The watch begins anew: the contents come once more.
    pub fn begin_again(&mut self) {
        self.again = Some(BTreeSet::new());
    }

    /// What is to be shown of an event about a resource (or `Bootstrapped`, which is about none).
    pub fn changes(&mut self, kind: EventType, resource: Option<Resource>) -> Vec<(Change, Resource)> {
        if kind == EventType::Bootstrapped {
            return self.gone();
        }
        let Some(resource) = resource else { return Vec::new() };
        let key = key(&resource);
        if kind == EventType::Destroyed {
            let known = self.shown.remove(&key).is_some();
            // A watch of one resource that is not there begins with this event.
            let news = known || self.again.is_none();
            return if news {
                vec![(Change::Destroyed, resource)]
            } else {
                Vec::new()
            };
        }
        if let Some(again) = &mut self.again {
            again.insert(key.clone());
        }
        let change = match (kind, self.shown.insert(key, resource.clone())) {
            (EventType::Created, Some(before)) if same(&before, &resource) => return Vec::new(),
            (EventType::Created, Some(_)) | (EventType::Updated, _) => Change::Updated,
            (EventType::Created, None) => Change::Created,
            _ => return Vec::new(),
        };
        vec![(change, resource)]
    }

    /// The contents are told: what was not among them went away meanwhile.
    fn gone(&mut self) -> Vec<(Change, Resource)> {
        let Some(again) = self.again.take() else {
            return Vec::new();
        };
        let gone = self.shown.extract_if(.., |key, _| !again.contains(key));
        gone.map(|(_, resource)| (Change::Destroyed, resource)).collect()
    }
}

fn key(resource: &Resource) -> Key {
    let metadata = resource.metadata.as_ref();
    metadata
        .map(|m| (m.namespace.clone(), m.id.clone()))
        .unwrap_or_default()
}

/// Versions count from 1 again after a restart of the node, so what is in it is compared too.
fn same(left: &Resource, right: &Resource) -> bool {
    let version = |resource: &Resource| resource.metadata.as_ref().map(|m| (m.version.clone(), m.phase.clone()));
    version(left) == version(right) && left.spec == right.spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::proto::cosi::resource::{Metadata, Spec};

    fn resource(id: &str, version: &str, spec: &str) -> Resource {
        Resource {
            metadata: Some(Metadata {
                id: id.into(),
                version: version.into(),
                ..Metadata::default()
            }),
            spec: Some(Spec {
                yaml_spec: spec.into(),
                ..Spec::default()
            }),
        }
    }

    fn marks(changes: Vec<(Change, Resource)>) -> Vec<(Change, String)> {
        changes.into_iter().map(|(change, r)| (change, key(&r).1)).collect()
    }

    #[test]
    fn a_watch_that_begins_again_tells_only_what_differs() {
        let mut known = Known::default();
        for id in ["same", "other", "gone"] {
            let told = known.changes(EventType::Created, Some(resource(id, "1", "a")));
            assert_eq!(marks(told), [(Change::Created, id.to_owned())]);
        }
        assert!(known.changes(EventType::Bootstrapped, None).is_empty());
        known.begin_again();
        assert!(
            known
                .changes(EventType::Created, Some(resource("same", "1", "a")))
                .is_empty()
        );
        let told = known.changes(EventType::Created, Some(resource("other", "1", "b")));
        assert_eq!(marks(told), [(Change::Updated, "other".to_owned())]);
        let told = known.changes(EventType::Created, Some(resource("new", "1", "a")));
        assert_eq!(marks(told), [(Change::Created, "new".to_owned())]);
        let told = known.changes(EventType::Bootstrapped, None);
        assert_eq!(marks(told), [(Change::Destroyed, "gone".to_owned())]);
        let told = known.changes(EventType::Destroyed, Some(resource("new", "2", "a")));
        assert_eq!(marks(told), [(Change::Destroyed, "new".to_owned())]);
    }

    #[test]
    fn a_single_resource_that_is_still_missing_is_not_told_again() {
        let mut known = Known::default();
        let missing = || Some(resource("x", "0", ""));
        assert_eq!(known.changes(EventType::Destroyed, missing()).len(), 1);
        known.begin_again();
        assert!(known.changes(EventType::Destroyed, missing()).is_empty());
    }
}
