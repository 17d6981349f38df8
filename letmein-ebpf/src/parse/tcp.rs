//! TCP (RFC 9293), as far as the shield looks.

use super::ip::Network;
use crate::packet::Packet;

/// Both ports. Every first fragment has them, as it has 8 bytes at least.
pub const PORTS_LEN: usize = 4;
const DESTINATION_PORT: usize = 2;
/// Offset of the flags.
pub const FLAGS: usize = 13;

pub struct Header {
    pub destination_port: u16,
    /// None if the packet ends before.
    pub flags: Option<u8>,
}

#[inline(always)]
pub fn parse(packet: &Packet, network: &Network) -> Option<Header> {
    let destination_port = packet.be16(network.transport + DESTINATION_PORT)?;
    // A first fragment that ends before the flags may have something else behind its end, and the flags in the next one.
    let flags = if network.fragment && network.length <= FLAGS {
        None
    } else {
        packet.bytes(network.transport + FLAGS).map(|[flags]| *flags)
    };
    Some(Header {
        destination_port,
        flags,
    })
}
