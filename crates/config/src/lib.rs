//! Machine configuration: documents, validation, patches, generation, secrets bundle.
//!
//! A configuration is a stream of YAML documents. [`Config::decode`] reads it strictly: what has been decoded has only
//! known fields with values of their types, and errors have the document, path, line and what would be right. One
//! declaration per struct (in [`model`]) gives the typed form and the schema that drives everything else.
//!
//! ```
//! use config::patch::{Patch, apply};
//! use config::{Config, MachineType, Mode, view};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::decode(b"version: v1alpha1\nmachine:\n    type: worker\n")?;
//! assert_eq!(config.machine_type(), Some(MachineType::Worker));
//!
//! let patch = Patch::load(b"{apiVersion: v1alpha1, kind: HostnameConfig, hostname: one}")?;
//! let patched = apply(&config, &[patch])?;
//! assert_eq!(view::hostname(&patched), view::Hostname::Static("one".into()));
//!
//! // It decodes, but it is no whole configuration yet.
//! let problems = patched.validate(Mode::Metal).unwrap_err();
//! assert!(problems.iter().any(|problem| problem.path == "machine.token"));
//! # Ok(())
//! # }
//! ```
//!
//! | to | use |
//! |---|---|
//! | read what is meant, wherever it stands | [`view`] |
//! | make new configurations | [`generate`], [`secrets`] |
//! | change them | [`patch`] |
//! | see what a change does | [`change`] |
//! | know what has no effect yet | [`effect`] |
//! | render the reference | [`reference`](mod@reference) |

mod annotate;
pub mod arguments;
pub mod authority;
pub mod change;
mod config;
pub mod constants;
pub mod document;
pub mod effect;
mod encode;
#[doc(hidden)]
pub mod fuzz;
pub mod generate;
pub mod images;
pub mod lockout;
pub mod model;
pub mod patch;
pub mod problem;
mod redact;
pub mod reference;
pub mod schema;
pub mod secrets;
pub mod user_data;
pub mod validate;
pub mod view;
pub mod yaml;

pub use config::{Config, MachineType};
pub use document::Document;
pub use model::v1alpha1;
pub use problem::{DecodeErrors, Problem};
pub use validate::{Mode, ValidationError, Warning};
