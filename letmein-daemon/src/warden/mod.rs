//! The warden: the process that may change the firewall and the XDP program's maps. It talks to nobody but the
//! [gatekeeper](crate::gatekeeper), and does nothing for that which the configuration does not allow.

mod gatekeeper;
mod inherited;
pub mod judge;
mod quotas;
mod reload;
mod requests;
mod running;
mod sockets;

pub use gatekeeper::{COMMAND, Gatekeeper};
pub use reload::Failure;
pub use requests::Doer;
pub use running::{Followed, Running};
pub use sockets::Sockets;
