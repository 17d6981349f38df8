//! The XDP program in the kernel: loading it, attaching it, and the maps behind it.

mod attach;
mod error;
mod kernel_gate;
mod object;
mod packet_log;
mod pin;
mod refused;
mod shield;

pub use attach::{Attached, Mode};
pub use error::XdpError;
pub use kernel_gate::{KernelGate, Plan, RingBuffer, SilentPlan};
pub use object::Object;
pub use packet_log::PacketLog;
pub use pin::forget;
pub use refused::RefusedPackets;
pub use shield::{Shield, ShieldPlan};
