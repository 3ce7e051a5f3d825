//! Machine configuration: documents, validation, patches, generation, secrets bundle.

mod config;
pub mod document;
mod encode;
pub mod generate;
pub mod images;
pub mod model;
pub mod patch;
pub mod problem;
pub mod schema;
pub mod secrets;
pub mod view;
pub mod yaml;

pub use config::{Config, MachineType};
pub use document::Document;
pub use model::v1alpha1;
pub use problem::{DecodeErrors, Problem};
