//! Collecting problems with their places.

use crate::problem::{Position, Problem};
use crate::schema::check::join;
use crate::yaml::node::{Node, Value};
use crate::{Config, Document};

/// Most problems reported at once.
const MAX_PROBLEMS: usize = 100;

pub(super) struct Report<'a> {
    pub config: &'a Config,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Report<'a> {
    pub fn new(config: &'a Config) -> Self {
        Self {
            config,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Documents of the configuration; they outlive the report.
    pub fn documents(&self) -> Vec<&'a Document> {
        self.config.documents().collect()
    }

    /// The main document.
    pub fn main(&self) -> Option<&'a Document> {
        self.config.documents().find(|document| document.is_main())
    }

    /// Something is wrong at a place of the main document, or of the whole if there is none.
    pub fn main_error(&mut self, steps: &[&str], message: impl Into<String>, fix: Option<String>) {
        let problem = match self.main() {
            Some(document) => place(document, steps, message.into(), fix),
            None => Problem {
                message: message.into(),
                fix,
                path: steps.join("."),
                ..Problem::default()
            },
        };
        self.push_error(problem);
    }

    /// Something is wrong at a place of a document. List items are given by number.
    pub fn error(&mut self, document: &Document, steps: &[&str], message: impl Into<String>, fix: Option<String>) {
        self.push_error(place(document, steps, message.into(), fix));
    }

    /// Something is doubtful at a place of a document.
    pub fn warning(&mut self, document: &Document, steps: &[&str], message: impl Into<String>, fix: Option<String>) {
        if self.warnings.len() < MAX_PROBLEMS {
            self.warnings.push(place(document, steps, message.into(), fix));
        }
    }

    pub fn push_error(&mut self, problem: Problem) {
        if self.errors.len() < MAX_PROBLEMS {
            self.errors.push(problem);
        }
    }

    pub fn push_warning(&mut self, problem: Problem) {
        if self.warnings.len() < MAX_PROBLEMS {
            self.warnings.push(problem);
        }
    }

    pub fn finish(mut self) -> Result<Vec<Problem>, Vec<Problem>> {
        let order = |problem: &Problem| {
            (
                problem.document.as_ref().map_or(0, |document| document.index),
                problem.at,
            )
        };
        self.errors.sort_by_key(order);
        self.warnings.sort_by_key(order);
        if self.errors.is_empty() {
            Ok(self.warnings)
        } else {
            Err(self.errors)
        }
    }
}

/// A problem at a place of a document; the line is that of the nearest value that is there.
fn place(document: &Document, steps: &[&str], message: String, fix: Option<String>) -> Problem {
    let mut path = String::new();
    let mut at: Position = document.root.at;
    let mut node: Option<&Node> = Some(&document.root);
    for step in steps {
        match node.map(|node| &node.value) {
            Some(Value::List(items)) => {
                path = format!("{path}[{step}]");
                node = step.parse::<usize>().ok().and_then(|i| items.get(i));
                at = node.map_or(at, |node| node.at);
            }
            Some(Value::Map(map)) => {
                path = join(&path, step);
                let entry = map.iter().find(|entry| entry.key == *step);
                at = entry.map_or(at, |entry| entry.at);
                node = entry.map(|entry| &entry.node);
            }
            _ => {
                path = join(&path, step);
                node = None;
            }
        }
    }
    Problem {
        document: Some(Box::new(document.id.clone())),
        path,
        at,
        message,
        fix,
    }
}
