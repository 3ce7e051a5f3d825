//! YAML in and out: a bounded reader that keeps positions, and a writer in the layout of go-yaml.

pub mod emit;
pub mod node;
pub mod scalar;
pub mod syntax;
