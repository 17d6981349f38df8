//! What IPv4 and IPv6 have in common for us: who sent the UDP datagram or TCP segment, and where it begins.

use super::{Unreadable, ethernet::Frame, ipv4, ipv6, tcp, udp};
use crate::{packet::Packet, tables::setting};
use aya_ebpf::programs::XdpContext;
use letmein_common::{reason::Reason, shield::Transport, source::Address};

/// IANA protocol numbers.
pub const UDP: u8 = Transport::Udp as u8;
pub const TCP: u8 = Transport::Tcp as u8;
pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_IPV6: u16 = 0x86DD;
/// Every fragment but the last is a multiple of this long. The kernel cuts IPv4 fragments down to one.
const FRAGMENT_UNIT: usize = 8;

/// A packet that carries UDP or TCP.
pub struct Network {
    /// Where that header begins.
    pub transport: usize,
    /// Bytes from there to the end that the IP header names; of a fragment, those that the kernel keeps.
    pub length: usize,
    /// The first piece of a fragmented packet.
    pub fragment: bool,
    pub header: Header,
}

/// Which IP header it is, and where.
#[derive(Clone, Copy)]
pub enum Header {
    V4(usize),
    V6(usize),
}

/// A [`Header`] in one register, as functions of BPF take it.
#[derive(Clone, Copy)]
pub struct PackedHeader(u64);

const IS_V6: u64 = 1 << 32;
/// No IP header begins behind this.
const LAST_HEADER: u64 = 127;

impl From<Header> for PackedHeader {
    #[inline(always)]
    fn from(header: Header) -> Self {
        match header {
            Header::V4(at) => Self(at as u64),
            Header::V6(at) => Self(at as u64 | IS_V6),
        }
    }
}

impl From<PackedHeader> for Header {
    #[inline(always)]
    fn from(PackedHeader(header): PackedHeader) -> Self {
        let at = (header & LAST_HEADER) as usize;
        if header & IS_V6 == 0 {
            Self::V4(at)
        } else {
            Self::V6(at)
        }
    }
}

impl Header {
    #[inline(always)]
    pub fn source(&self, packet: &Packet) -> Option<Address> {
        match *self {
            Self::V4(at) => packet.bytes(at + ipv4::SOURCE).map(|bytes| Address::v4(*bytes)),
            Self::V6(at) => packet.bytes(at + ipv6::SOURCE).map(|bytes| Address::v6(*bytes)),
        }
    }

    #[inline(always)]
    pub fn destination(&self, packet: &Packet) -> Option<Address> {
        match *self {
            Self::V4(at) => packet
                .bytes(at + ipv4::DESTINATION)
                .map(|bytes| Address::v4(*bytes)),
            Self::V6(at) => packet
                .bytes(at + ipv6::DESTINATION)
                .map(|bytes| Address::v6(*bytes)),
        }
    }

    /// Whether the source address is one that nobody on a network has. The kernel takes no packet from there; nor does it
    /// take an IPv6 packet from an IPv4-mapped address.
    #[inline(always)]
    pub fn is_from_mars(&self, packet: &Packet) -> bool {
        let is_v6 = matches!(self, Self::V6(_));
        self.source(packet)
            .is_some_and(|source| is_martian(source.0[0], source.0[1], is_v6))
    }
}

/// A function of its own for the sake of the stack.
#[inline(never)]
fn is_martian(high: u64, low: u64, is_v6: bool) -> bool {
    let address = Address([high, low]);
    (is_v6 && address.is_v4()) || address.is_martian()
}

/// What the IP header leads to.
pub enum Found {
    Udp(Network),
    Tcp(Network),
}

impl Network {
    #[inline(always)]
    pub fn v4(header: usize, transport: usize, length: usize, fragment: bool) -> Self {
        Self {
            transport,
            length: kept(length, fragment),
            fragment,
            header: Header::V4(header),
        }
    }

    #[inline(always)]
    pub fn v6(header: usize, transport: usize, length: usize, fragment: bool) -> Self {
        Self {
            transport,
            length: kept(length, fragment),
            fragment,
            header: Header::V6(header),
        }
    }

    /// What this protocol is, if its port lies before the end that the IP header names; `outside` if not. The kernel
    /// discards such a packet, but a fragment might go on with the rest of the header.
    #[inline(always)]
    pub fn carries(self, protocol: u8, outside: Reason) -> Result<Found, Unreadable> {
        if protocol == UDP {
            if self.length < udp::LEN {
                return Err(Unreadable::Drop(outside));
            }
            return Ok(Found::Udp(self));
        }
        // A program that looks at no TCP drops none.
        if protocol != TCP || setting!(shield_tcp) == 0 {
            return Err(Unreadable::Pass);
        }
        if self.length < tcp::PORTS_LEN {
            return Err(Unreadable::Drop(outside));
        }
        Ok(Found::Tcp(self))
    }

    /// The source address. Read late, so that traffic that is not ours does not pay for it.
    #[inline(always)]
    pub fn source(&self, packet: &Packet) -> Option<Address> {
        self.header.source(packet)
    }
}

#[inline(always)]
const fn kept(length: usize, fragment: bool) -> usize {
    if fragment {
        length / FRAGMENT_UNIT * FRAGMENT_UNIT
    } else {
        length
    }
}

#[inline(always)]
pub fn parse(ctx: &XdpContext, packet: &Packet, frame: &Frame) -> Result<Found, Unreadable> {
    match frame.ethertype {
        ETHERTYPE_IPV4 => ipv4::parse(packet, frame.network),
        ETHERTYPE_IPV6 => ipv6::parse(ctx, packet, frame.network),
        _ => Err(Unreadable::Pass),
    }
}
