//! From the frame to the UDP or TCP header. `None` means: not for us, or not to be followed; the kernel decides.

pub mod bare;
pub mod ethernet;
pub mod ip;
mod ipv4;
mod ipv6;
pub mod plain;
pub mod tcp;
pub mod udp;
