//! IPv4 with options (RFC 791).

use super::{
    Unreadable,
    ip::{Found, Network},
};
use crate::packet::Packet;
use letmein_common::reason::Reason;

/// Offset of the source address.
pub const SOURCE: usize = 12;
/// Offset of the number of what it carries.
pub const PROTOCOL: usize = 9;
/// Offset of the destination address.
pub const DESTINATION: usize = 16;
/// Length of a header without options.
pub const MIN_LEN: usize = 20;
/// In the field that begins at offset 6, as the next.
pub const MORE_FRAGMENTS: u16 = 0x2000;
pub const FRAGMENT_OFFSET: u16 = 0x1FFF;

#[inline(always)]
pub fn parse(packet: &Packet, at: usize) -> Result<Found, Unreadable> {
    let header: &[u8; MIN_LEN] = packet.bytes(at).ok_or(Unreadable::Pass)?;
    let length = usize::from(header[0] & 0x0F) * 4;
    if header[0] >> 4 != 4 || length < MIN_LEN {
        return Err(Unreadable::Pass);
    }
    let fragmentation = u16::from_be_bytes([header[6], header[7]]);
    if fragmentation & FRAGMENT_OFFSET != 0 {
        // A later piece has no ports. If the first one was for the gate it was dropped, and the kernel will
        // never complete the packet.
        return Err(Unreadable::Pass);
    }
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let fragment = fragmentation & MORE_FRAGMENTS != 0;
    let network = Network::v4(at, at + length, total.saturating_sub(length), fragment);
    network.carries(header[PROTOCOL], Reason::Truncated)
}
