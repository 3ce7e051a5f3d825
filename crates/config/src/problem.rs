//! What is wrong with a configuration: where, what, and what would be right.

use std::fmt;

/// A place in a text: line and column, both counted from 1. Zero means that the place is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Which document of a stream a problem is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentId {
    /// Number in the stream, from 1.
    pub index: usize,
    /// Kind of the document; `v1alpha1` for the main one, empty if it could not be told.
    pub kind: String,
    /// Name, for kinds that have one.
    pub name: Option<String>,
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {}", self.index)?;
        match (self.kind.as_str(), &self.name) {
            ("", _) => Ok(()),
            (kind, None) => write!(f, " ({kind})"),
            (kind, Some(name)) => write!(f, " ({kind} {name:?})"),
        }
    }
}

/// One thing that is wrong, with its place and, where it is known, what would be right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// The document, if the problem is in one.
    pub document: Option<Box<DocumentId>>,
    /// Path of the field, such as `machine.network.interfaces[0].addresses[1]`; empty for a whole document.
    pub path: String,
    /// Place in the text.
    pub at: Position,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub fix: Option<String>,
}

impl Problem {
    /// A problem with no place yet.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// Adds the path of the field.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Adds the place in the text.
    #[must_use]
    pub fn at(mut self, at: Position) -> Self {
        self.at = at;
        self
    }

    /// Adds what would be right.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Adds the document.
    #[must_use]
    pub fn document(mut self, document: &DocumentId) -> Self {
        self.document = Some(Box::new(document.clone()));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(document) = &self.document {
            write!(f, "{document}: ")?;
        }
        match (self.path.is_empty(), self.at.line) {
            (true, 0) => {}
            (true, line) => write!(f, "line {line}: ")?,
            (false, 0) => write!(f, "{}: ", self.path)?,
            (false, line) => write!(f, "{} (line {line}): ", self.path)?,
        }
        f.write_str(&self.message)?;
        match &self.fix {
            Some(fix) => write!(f, " ({fix})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Everything that is wrong with a text, in the order of the text. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeErrors {
    /// Name of the file or place the text came from, put before each line; may be empty.
    pub source_name: String,
    /// The problems.
    pub problems: Vec<Problem>,
}

impl DecodeErrors {
    pub(crate) fn one(problem: Problem) -> Self {
        Self {
            source_name: String::new(),
            problems: vec![problem],
        }
    }

    /// Says where the text came from, for the messages.
    #[must_use]
    pub fn named(mut self, source_name: impl Into<String>) -> Self {
        self.source_name = source_name.into();
        self
    }
}

impl fmt::Display for DecodeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            if !self.source_name.is_empty() {
                write!(f, "{}: ", self.source_name)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DecodeErrors {}
