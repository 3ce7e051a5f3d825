//! Machine configuration: documents, validation, patches, generation, secrets bundle.

mod annotate;
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
pub mod model;
pub mod patch;
pub mod problem;
mod redact;
pub mod reference;
pub mod schema;
pub mod secrets;
pub mod validate;
pub mod view;
pub mod yaml;

pub use config::{Config, MachineType};
pub use document::Document;
pub use model::v1alpha1;
pub use problem::{DecodeErrors, Problem};
pub use validate::{Mode, ValidationError, Warning};
