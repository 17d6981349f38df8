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
    /// None if the packet ends before: a first fragment may have its flags in the next one.
    pub flags: Option<u8>,
}

#[inline(always)]
pub fn parse(packet: &Packet, network: &Network) -> Option<Header> {
    let destination_port = packet.be16(network.transport + DESTINATION_PORT)?;
    let flags = if network.length > FLAGS {
        packet.bytes(network.transport + FLAGS).map(|[flags]| *flags)
    } else {
        None
    };
    Some(Header {
        destination_port,
        flags,
    })
}
