//! The XDP program in the kernel: loading it, attaching it, and the maps behind it.

mod attach;
mod error;
mod kernel;
mod kernel_gate;
mod knocks;
mod object;
mod packet_log;
mod pin;
mod shield;

pub use attach::{Attached, Mode};
pub use error::XdpError;
pub use kernel_gate::{KernelGate, Plan, SilentPlan};
pub use knocks::Knocks;
pub use object::Object;
pub use packet_log::PacketLog;
pub use pin::forget;
pub use shield::{Shield, ShieldPlan};
