//! The XDP program in the kernel: loading it, attaching it, and the maps behind it.

mod accounts;
mod attach;
mod awaited;
mod before;
mod error;
mod framing;
mod hooks;
mod kernel;
mod kernel_gate;
mod leftovers;
mod link;
mod nonces;
mod object;
mod packet_log;
mod pin;
mod programs;
mod refused;
mod shield;
mod sizes;

pub use attach::{Attached, Mode};
pub use before::Before;
pub use error::XdpError;
pub use framing::{Framing, Unfit};
pub use kernel_gate::{KernelGate, Plan, RingBuffer, SilentPlan};
pub use leftovers::{forget, is_attached, remove};
pub use nonces::Nonces;
pub use object::Object;
pub use packet_log::PacketLog;
pub use pin::Pins;
pub use shield::{Shield, ShieldPlan};
