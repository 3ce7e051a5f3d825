//! Values that the command line shows in its help.

pub use config::images::{INSTALLER, KUBERNETES_VERSION};

/// The version of this program: the machine API's that it implements.
pub const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));
