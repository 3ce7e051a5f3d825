//! The network: links, addresses, routes, names, firewall.

mod addresses;
mod enums;
mod ethernet;
mod firewall;
mod links;
mod names;
mod platform;
mod routes;

pub use addresses::*;
pub use enums::*;
pub use ethernet::*;
pub use firewall::*;
pub use links::*;
pub use names::*;
pub use platform::*;
pub use routes::*;
