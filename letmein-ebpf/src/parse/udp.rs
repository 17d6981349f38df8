//! UDP (RFC 768).

use super::ip::Network;
use crate::packet::Packet;

/// Length of the header, in bytes.
pub const LEN: usize = 8;

pub struct Header {
    pub source_port: u16,
    pub destination_port: u16,
    /// Header and payload, in bytes, as the header says.
    pub length: usize,
}

#[inline(always)]
pub fn parse(packet: &Packet, network: &Network) -> Option<Header> {
    let header: &[u8; LEN] = packet.bytes(network.transport)?;
    Some(Header {
        source_port: u16::from_be_bytes([header[0], header[1]]),
        destination_port: u16::from_be_bytes([header[2], header[3]]),
        length: usize::from(u16::from_be_bytes([header[4], header[5]])),
    })
}
