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

impl Header {
    #[inline(always)]
    pub fn of(bytes: [u8; LEN]) -> Self {
        Self {
            source_port: u16::from_be_bytes([bytes[0], bytes[1]]),
            destination_port: u16::from_be_bytes([bytes[2], bytes[3]]),
            length: usize::from(u16::from_be_bytes([bytes[4], bytes[5]])),
        }
    }
}

#[inline(always)]
pub fn parse(packet: &Packet, network: &Network) -> Option<Header> {
    packet.bytes(network.transport).map(|bytes| Header::of(*bytes))
}
