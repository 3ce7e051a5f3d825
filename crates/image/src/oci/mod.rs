//! OCI images: the documents, the layout on disk, building, and the archive `docker load` takes.

#[cfg(feature = "build")]
mod build;
#[cfg(feature = "build")]
mod docker;
mod layout;
mod types;

#[cfg(feature = "build")]
pub use build::{BuildError, Built, Compression, ImageSpec, build, rfc3339};
#[cfg(feature = "build")]
pub use docker::save as save_docker;
pub use layout::{Layout, LayoutError};
pub use types::{
    Descriptor, History, ImageConfig, ImageDocument, Index, Manifest, Platform, REF_NAME, RootFs, media_type,
};
pub(crate) use types::{architecture, is_ours};
