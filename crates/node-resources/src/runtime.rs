//! The machine and its system.

mod enums;
mod kernel;
mod machine;
mod system;

pub use enums::*;
pub use kernel::*;
pub use machine::*;
pub use system::*;
