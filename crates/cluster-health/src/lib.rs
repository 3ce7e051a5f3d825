//! Is a cluster well? The checks in the order in which a cluster gets well, for whoever can ask its nodes: the command
//! line, and a control plane for itself.

mod checks;
pub mod kube;
mod view;

use anyhow::{Result, bail};

pub use checks::{Scope, all};
pub use view::{Ask, Nodes, View, service, spec};

/// Fails with the reason if the condition does not hold.
fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { bail!(reason()) }
}
