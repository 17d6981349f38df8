//! What IPv4 and IPv6 have in common for us: who sent the UDP datagram or TCP segment, and where it begins.

use super::{ethernet::Frame, ipv4, ipv6};
use crate::packet::Packet;
use letmein_common::{shield::Transport, source::Address};

/// IANA protocol numbers.
pub const UDP: u8 = Transport::Udp as u8;
pub const TCP: u8 = Transport::Tcp as u8;
pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_IPV6: u16 = 0x86DD;

/// A packet that carries UDP or TCP.
pub struct Network {
    /// Where that header begins.
    pub transport: usize,
    /// Bytes from there to the end that the IP header names.
    pub length: usize,
    /// The first piece of a fragmented packet.
    pub fragment: bool,
    header: Header,
}

#[derive(Clone, Copy)]
enum Header {
    V4(usize),
    V6(usize),
}

/// What the IP header leads to.
pub enum Found {
    Udp(Network),
    Tcp(Network),
    /// A chain of IPv6 extension headers that cannot be followed.
    HeaderChain,
}

impl Network {
    #[inline(always)]
    pub fn v4(header: usize, transport: usize, length: usize, fragment: bool) -> Self {
        Self {
            transport,
            length,
            fragment,
            header: Header::V4(header),
        }
    }

    #[inline(always)]
    pub fn v6(header: usize, transport: usize, length: usize, fragment: bool) -> Self {
        Self {
            transport,
            length,
            fragment,
            header: Header::V6(header),
        }
    }

    /// The source address. Read late, so that traffic that is not ours does not pay for it.
    #[inline(always)]
    pub fn source(&self, packet: &Packet) -> Option<Address> {
        match self.header {
            Header::V4(at) => packet.bytes(at + ipv4::SOURCE).map(|bytes| Address::v4(*bytes)),
            Header::V6(at) => packet.bytes(at + ipv6::SOURCE).map(|bytes| Address::v6(*bytes)),
        }
    }
}

#[inline(always)]
pub fn parse(packet: &Packet, frame: &Frame) -> Option<Found> {
    match frame.ethertype {
        ETHERTYPE_IPV4 => ipv4::parse(packet, frame.network),
        ETHERTYPE_IPV6 => ipv6::parse(packet, frame.network),
        _ => None,
    }
}
