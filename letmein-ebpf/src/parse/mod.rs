//! From the frame to the UDP or TCP header.
//!
//! The rule for all of it: read nothing that lies behind the end that the IP header names, and drop what the kernel
//! might follow further than this program does. `docs/frames.md` has both sides, header by header.

pub mod bare;
pub mod ethernet;
pub mod ip;
mod ipv4;
mod ipv6;
pub mod plain;
pub mod tcp;
pub mod udp;

use letmein_common::reason::Reason;

/// A frame in which there is no port to be read.
pub enum Unreadable {
    /// It is not for us: no UDP and no TCP, or nothing that the kernel would deliver.
    Pass,
    /// It could be for us, but its headers cannot be followed.
    Drop(Reason),
}

/// The same number. The compiler must not conclude from where it comes that a mask changes nothing: the verifier looks at
/// each global function by itself, and bounds a number by the mask alone.
#[inline(always)]
fn unforeseen(number: u64) -> u64 {
    core::hint::black_box(number)
}
