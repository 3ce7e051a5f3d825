//! Images: building them, serving them, pulling them.
//!
//! - [`rootfs`], [`squashfs`]: the node's root filesystem
//! - [`oci`]: OCI images, layouts and the archive `docker load` takes
//! - [`registry`]: an OCI distribution server over a layout
//! - [`pull`]: the client a node pulls with
//! - [`sbom`]: the software bill of materials
//! - [`make`], [`dist`]: the distribution from its manifests, all products of it from its parts
//!
//! Everything is a value or a path passed in; nothing reads the environment. The same inputs give the same bytes.

pub mod archive;
#[cfg(feature = "build")]
pub mod cache;
#[cfg(feature = "build")]
pub mod components;
#[cfg(feature = "build")]
pub mod debian;
pub mod digest;
#[cfg(feature = "build")]
pub mod dist;
#[cfg(feature = "build")]
pub mod elf;
pub mod flat;
pub mod fuzz;
#[cfg(feature = "build")]
pub mod go;
#[cfg(feature = "build")]
pub mod licence;
#[cfg(feature = "build")]
pub mod make;
pub mod oci;
#[cfg(feature = "net")]
pub mod pull;
pub mod reference;
#[cfg(feature = "net")]
pub mod registry;
#[cfg(feature = "build")]
pub mod rootfs;
#[cfg(feature = "build")]
pub mod run;
#[cfg(feature = "build")]
pub mod sbom;
#[cfg(feature = "build")]
pub mod squashfs;
#[cfg(feature = "build")]
pub mod tree;
pub mod unpack;

pub use digest::Digest;
pub use reference::ImageRef;
