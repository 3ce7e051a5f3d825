//! Values that the command line shows in its help.

/// The version of this program: the machine API's that it implements.
pub const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));
/// Kubernetes of new clusters, without `v`.
pub const KUBERNETES_VERSION: &str = "1.37.1";
/// Image that installs the operating system.
pub const INSTALLER: &str = "ghcr.io/siderolabs/installer:v1.13.0";
