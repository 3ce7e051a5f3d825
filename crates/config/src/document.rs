//! One document of a configuration, and how its kind is told.

use std::fmt;

use crate::model::{self, KINDS};
use crate::problem::{DocumentId, Position, Problem};
use crate::schema::Struct;
use crate::schema::check::{Checker, PATCH_KEY};
use crate::schema::suggest::closest;
use crate::schema::types::{Described, Kind};
use crate::yaml::node::{Map, Node, Value};
use crate::yaml::syntax::{Raw, RawKind};

/// Version of all documents, and the kind of the main one.
pub const V1ALPHA1: &str = "v1alpha1";

/// One document: its kind and name, and its values as a checked tree.
#[derive(Clone)]
pub struct Document {
    /// Where it stands in the stream, its kind and name.
    pub id: DocumentId,
    /// Place of its first line.
    pub at: Position,
    /// The values.
    pub root: Node,
    /// What they may be.
    pub schema: &'static Struct,
}

/// Values are left out, because they may be secret.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Equal kind, name and values; places do not count.
impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.name() == other.name() && self.root == other.root
    }
}

impl Document {
    /// Kind of the document; `v1alpha1` for the main one.
    pub fn kind(&self) -> &str {
        &self.id.kind
    }

    /// Name, for kinds that have one.
    pub fn name(&self) -> Option<&str> {
        self.id.name.as_deref()
    }

    /// True for the main document, which has the machine and cluster sections.
    pub fn is_main(&self) -> bool {
        self.schema.kind.is_none()
    }

    /// The typed form, if it is of this kind.
    pub fn typed<T: Kind>(&self) -> Option<T> {
        (self.kind() == T::KIND).then(|| T::read(&self.root)).flatten()
    }

    /// The values as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        (&self.root).into()
    }

    /// A document of typed values.
    pub fn of<T: Kind>(value: &T) -> Self {
        let mut map: Map = [("apiVersion", Node::text(V1ALPHA1)), ("kind", Node::text(T::KIND))]
            .into_iter()
            .collect();
        if let Some(Node {
            value: Value::Map(fields),
            ..
        }) = value.write()
        {
            for entry in fields {
                map.insert(entry.key, entry.node);
            }
        }
        let name = map.get("name").and_then(Node::as_text).map(str::to_owned);
        let id = DocumentId {
            index: 0,
            kind: T::KIND.into(),
            name,
        };
        Self {
            id,
            at: Position::default(),
            root: Node::new(Value::Map(map)),
            schema: T::STRUCT,
        }
    }

    /// Reads one document of a stream, or of a patch. Problems are added to the list.
    pub(crate) fn check(raw: &Raw, index: usize, is_patch: bool, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut id = DocumentId {
            index,
            ..DocumentId::default()
        };
        let schema = match schema_of(raw, &mut id, is_patch) {
            Ok(schema) => schema,
            Err(problem) => {
                problems.push(problem.document(&id));
                return None;
            }
        };
        let root = Checker {
            document: &id,
            is_patch,
            problems,
        }
        .document(raw, schema);
        Some(Self {
            id,
            at: raw.at,
            root,
            schema,
        })
    }

    /// True if a patch asks for the whole document to be deleted.
    pub(crate) fn is_deletion(&self) -> bool {
        self.root.as_map().is_some_and(|map| map.get(PATCH_KEY).is_some())
    }
}

/// Tells the kind of a document and fills in its identity.
fn schema_of(raw: &Raw, id: &mut DocumentId, is_patch: bool) -> Result<&'static Struct, Problem> {
    let RawKind::Map(entries) = &raw.kind else {
        return Err(Problem::new("a document must be a map of fields").at(raw.at));
    };
    match (
        raw.get("kind").and_then(Raw::text),
        raw.get("apiVersion").and_then(Raw::text),
    ) {
        (Some(kind), version) => {
            kind.clone_into(&mut id.kind);
            let at = raw.get("kind").map_or(raw.at, |kind| kind.at);
            let schema = by_kind(kind).ok_or_else(|| unknown_kind(kind, version).at(at))?;
            if version != Some(V1ALPHA1) {
                let at = raw.get("apiVersion").map_or(raw.at, |version| version.at);
                let message = match version {
                    Some(version) => format!("{version:?} is not a version of {kind}"),
                    None => "the version of the document is missing".to_owned(),
                };
                return Err(Problem::new(message)
                    .path("apiVersion")
                    .at(at)
                    .fix("write apiVersion: v1alpha1"));
            }
            if schema.kind.as_ref().is_some_and(|kind| kind.named) {
                id.name = raw.get("name").and_then(Raw::text).map(str::to_owned);
                if id.name.is_none() {
                    let fix = format!("a stream may hold several {kind} documents, told apart by their names");
                    return Err(Problem::new("the name of the document is missing")
                        .path("name")
                        .at(raw.at)
                        .fix(fix));
                }
            }
            Ok(schema)
        }
        (None, Some(_)) => Err(Problem::new("the kind of the document is missing")
            .path("kind")
            .at(raw.at)),
        (None, None) => {
            V1ALPHA1.clone_into(&mut id.kind);
            match raw.get("version") {
                Some(version) if version.text() == Some(V1ALPHA1) => {}
                Some(version) => {
                    return Err(Problem::new(format!(
                        "{:?} is not a known version",
                        version.text().unwrap_or_default()
                    ))
                    .path("version")
                    .at(version.at)
                    .fix("write version: v1alpha1"));
                }
                None if is_patch => {}
                None => {
                    if !entries
                        .iter()
                        .any(|(key, _)| matches!(key.text.as_str(), "machine" | "cluster"))
                    {
                        id.kind.clear();
                    }
                    let fix = "begin the document with version: v1alpha1, or with apiVersion and kind";
                    return Err(Problem::new("this does not say which kind of document it is")
                        .at(raw.at)
                        .fix(fix));
                }
            }
            Ok(model::v1alpha1::Config::STRUCT)
        }
    }
}

/// Schema of a kind.
pub fn by_kind(kind: &str) -> Option<&'static Struct> {
    KINDS
        .iter()
        .copied()
        .find(|schema| schema.kind.as_ref().is_some_and(|known| known.kind == kind))
}

fn unknown_kind(kind: &str, version: Option<&str>) -> Problem {
    let known = KINDS
        .iter()
        .filter_map(|schema| schema.kind.as_ref().map(|kind| kind.kind));
    let problem = Problem::new(format!("{kind:?} is not a kind of machine configuration")).path("kind");
    match closest(kind, known) {
        Some(known) => problem.fix(format!("did you mean {known}?")),
        None if version.is_some_and(|version| version != V1ALPHA1) => {
            problem.fix("Kubernetes objects go into cluster.inlineManifests")
        }
        None => problem,
    }
}
