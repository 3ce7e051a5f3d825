//! Disks, volumes and mounts.

mod disks;
mod enums;
mod mounts;
mod volumes;

pub use disks::*;
pub use enums::*;
pub use mounts::*;
pub use volumes::*;
