//! Does a configuration make sense as a whole? Everything wrong is reported together.

mod arguments;
mod cluster;
mod conflicts;
mod documents;
mod images;
mod interfaces;
mod machine;
mod names;
mod report;
mod schema;

pub use conflicts::{REPLACEMENTS, Replacement};

use crate::Config;
use crate::problem::Problem;
use report::Report;

/// What kind of place a machine runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A machine with disks to install to.
    Metal,
    /// A machine of a cloud, from a disk image.
    Cloud,
    /// A container: no disks, no kernel of its own.
    Container,
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "metal" => Ok(Mode::Metal),
            "cloud" => Ok(Mode::Cloud),
            "container" => Ok(Mode::Container),
            _ => Err(format!("{text:?} is not a mode (it can be metal, cloud or container)")),
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Mode::Metal => "metal",
            Mode::Cloud => "cloud",
            Mode::Container => "container",
        })
    }
}

/// Something that is allowed but perhaps not meant: deprecated fields, sections without use, plain-text endpoints.
pub type Warning = Problem;
/// Something that must be put right.
pub type ValidationError = Problem;

impl Config {
    /// Checks the configuration for a machine that runs in this mode. Returns what is doubtful, or everything that is
    /// wrong.
    pub fn validate(&self, mode: Mode) -> Result<Vec<Warning>, Vec<ValidationError>> {
        let mut report = Report::new(self);
        for document in self.documents() {
            schema::check(&mut report, document);
        }
        conflicts::check(&mut report);
        machine::check(&mut report, mode);
        interfaces::check(&mut report);
        cluster::check(&mut report);
        arguments::check(&mut report);
        documents::check(&mut report);
        images::check(&mut report);
        report.finish()
    }

    /// Like [`Self::validate`]; with `strict` warnings are errors too.
    pub fn validate_strict(&self, mode: Mode, strict: bool) -> Result<Vec<Warning>, Vec<ValidationError>> {
        match self.validate(mode) {
            Ok(warnings) if strict && !warnings.is_empty() => Err(warnings),
            other => other,
        }
    }
}
