//! Machine configuration: documents, validation, patches, generation, secrets bundle.

mod config;
pub mod document;
mod encode;
pub mod model;
pub mod problem;
pub mod schema;
pub mod yaml;

pub use config::{Config, MachineType};
pub use document::Document;
pub use model::v1alpha1;
pub use problem::{DecodeErrors, Problem};
