//! A whole configuration: a stream of documents, decoded strictly and encoded as it came.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::document::Document;
use crate::encode;
use crate::model::v1alpha1;
use crate::problem::{DecodeErrors, Problem};
use crate::schema::Field as _;
use crate::schema::types::Kind;
use crate::yaml::syntax::{self, Raw};

/// A machine configuration. What could be decoded has only known fields with values of their types; whether the values
/// make sense together is for [`Config::validate`](crate::validate).
#[derive(Clone)]
pub struct Config {
    documents: Vec<Document>,
    main: Option<Arc<v1alpha1::Config>>,
    /// The text this was decoded from.
    source: Arc<Zeroizing<Vec<u8>>>,
}

/// What kind of machine a configuration makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MachineType {
    /// Runs the control plane and etcd.
    ControlPlane,
    /// Runs workloads only.
    Worker,
}

impl MachineType {
    /// The word used in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            MachineType::ControlPlane => "controlplane",
            MachineType::Worker => "worker",
        }
    }
}

impl fmt::Display for MachineType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Values are left out, because they may be secret.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("documents", &self.documents)
            .finish_non_exhaustive()
    }
}

/// Equal in meaning: the same documents, whatever their layout and order.
impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.documents.len() == other.documents.len()
            && self
                .documents
                .iter()
                .all(|document| other.find(document.kind(), document.name()) == Some(document))
    }
}

impl Config {
    /// Reads a stream of documents. All problems are reported together, each with its document, path and line.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeErrors> {
        let documents = documents(bytes)?;
        if documents.is_empty() {
            return Err(DecodeErrors::one(Problem::new(
                "there is no document in the configuration",
            )));
        }
        Ok(Self::new(documents, bytes.to_vec()))
    }

    /// A configuration of documents made in the program. They are written and read back, so the result has the same
    /// guarantees and places as one that came from outside.
    pub fn from_documents<'a>(documents: impl IntoIterator<Item = &'a Document>) -> Result<Self, DecodeErrors> {
        Self::decode(encode::stream(main_first(documents)).as_bytes())
    }

    fn new(documents: Vec<Document>, source: Vec<u8>) -> Self {
        let main = documents.iter().find(|document| document.is_main());
        let main = main
            .and_then(|document| v1alpha1::Config::read(&document.root))
            .map(Arc::new);
        Self {
            documents,
            main,
            source: Arc::new(Zeroizing::new(source)),
        }
    }

    /// A configuration of documents that are right by construction, and their text.
    pub(crate) fn from_trusted(documents: Vec<Document>, source: Vec<u8>) -> Self {
        Self::new(documents, source)
    }

    /// The text: exactly the bytes it was decoded from.
    pub fn encode(&self) -> Vec<u8> {
        self.source.to_vec()
    }

    /// The text in the canonical layout: the main document first, fields in the order of the reference, no comments.
    pub fn encode_canonical(&self) -> String {
        encode::stream(main_first(&self.documents))
    }

    /// The main document, typed.
    pub fn v1alpha1(&self) -> Option<&v1alpha1::Config> {
        self.main.as_deref()
    }

    /// The machine section of the main document.
    pub fn machine(&self) -> Option<&v1alpha1::MachineConfig> {
        self.main.as_ref()?.machine.as_ref()
    }

    /// The cluster section of the main document.
    pub fn cluster(&self) -> Option<&v1alpha1::ClusterConfig> {
        self.main.as_ref()?.cluster.as_ref()
    }

    /// What kind of machine this makes, if it says so.
    pub fn machine_type(&self) -> Option<MachineType> {
        match self.machine()?.kind.as_deref()? {
            "controlplane" => Some(MachineType::ControlPlane),
            "worker" => Some(MachineType::Worker),
            _ => None,
        }
    }

    /// All documents in the order of the text.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.iter()
    }

    /// The document of a kind, and of a name if one is given.
    pub fn find(&self, kind: &str, name: Option<&str>) -> Option<&Document> {
        self.documents
            .iter()
            .find(|document| document.kind() == kind && (name.is_none() || document.name() == name))
    }

    /// The first document of a kind, typed, and of a name if one is given.
    pub fn document<T: Kind>(&self, name: Option<&str>) -> Option<T> {
        self.find(T::KIND, name)?.typed()
    }

    /// All documents of a kind, typed, in the order of the text.
    pub fn all<T: Kind>(&self) -> Vec<T> {
        self.documents.iter().filter_map(Document::typed).collect()
    }
}

/// Reads and checks the documents of a text.
fn documents(bytes: &[u8]) -> Result<Vec<Document>, DecodeErrors> {
    check(&syntax::read(bytes).map_err(DecodeErrors::one)?, false)
}

/// Checks the documents of a text; in a patch they may be partial.
pub(crate) fn check(raw: &[Raw], is_patch: bool) -> Result<Vec<Document>, DecodeErrors> {
    let mut problems = Vec::new();
    let mut documents: Vec<Document> = Vec::with_capacity(raw.len());
    for (i, raw) in raw.iter().enumerate() {
        let Some(document) = Document::check(raw, i + 1, is_patch, &mut problems) else {
            continue;
        };
        let twin = documents
            .iter()
            .find(|other| other.kind() == document.kind() && other.name() == document.name());
        match twin {
            Some(twin) if !is_patch => {
                let what = if document.is_main() {
                    "main document"
                } else {
                    "document of this kind and name"
                };
                let message = format!("there is another {what} in line {}", twin.at.line.max(1));
                problems.push(
                    Problem::new(message)
                        .document(&document.id)
                        .at(document.at)
                        .fix("keep one of them"),
                );
            }
            _ => documents.push(document),
        }
    }
    if problems.is_empty() {
        Ok(documents)
    } else {
        Err(DecodeErrors {
            source_name: String::new(),
            problems,
        })
    }
}

fn main_first<'a>(documents: impl IntoIterator<Item = &'a Document>) -> Vec<&'a Document> {
    let mut documents: Vec<&Document> = documents.into_iter().collect();
    documents.sort_by_key(|document| !document.is_main());
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Config::decode(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_place_and_what_was_meant() {
        let text = "version: v1alpha1\nmachine:\n  type: worker\n  network:\n    hostnme: a\n";
        assert_eq!(
            refused(text),
            "document 1 (v1alpha1): machine.network.hostnme (line 5): there is no such field (did you mean hostname?)"
        );
    }
}
