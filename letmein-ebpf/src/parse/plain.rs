//! The short way for what most frames are: IPv4 without VLAN tag and options. One bounds check, four loads.
//!
//! It decides nothing that the general parsers would decide differently; it only gets there sooner, so that a
//! server's own traffic does not pay for headers that it does not have.

use super::{
    ip::{Network, UDP},
    ipv4,
    udp::{self, Header},
};
use crate::packet::Packet;

const NETWORK: usize = 14;
const TRANSPORT: usize = NETWORK + ipv4::MIN_LEN;
const LEN: usize = TRANSPORT + udp::LEN;
/// `EtherType` of IPv4, then version 4 and a header of five words.
const IPV4_WITHOUT_OPTIONS: [u8; 3] = [0x08, 0x00, 0x45];

/// What the frame is.
pub enum Plain {
    /// Not for the gate.
    Other,
    /// A UDP datagram for the control port.
    Control(Network, Header),
    /// Something else than plain IPv4: the general parsers find out.
    Unsure,
}

#[inline(always)]
pub fn parse(packet: &Packet, control_port: u32) -> Plain {
    let Some(frame) = packet.bytes::<LEN>(0) else {
        return Plain::Unsure;
    };
    if frame[12..15] != IPV4_WITHOUT_OPTIONS {
        return Plain::Unsure;
    }
    let be16 = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    if frame[NETWORK + 9] != UDP || u32::from(be16(TRANSPORT + 2)) != control_port {
        return Plain::Other;
    }
    let fragmentation = be16(NETWORK + 6);
    if fragmentation & ipv4::FRAGMENT_OFFSET != 0 {
        return Plain::Other;
    }
    let Some(header) = packet.bytes(TRANSPORT) else {
        return Plain::Unsure;
    };
    Plain::Control(
        Network::v4(
            NETWORK,
            TRANSPORT,
            usize::from(be16(NETWORK + 2)).saturating_sub(ipv4::MIN_LEN),
            fragmentation & ipv4::MORE_FRAGMENTS != 0,
        ),
        Header::of(*header),
    )
}
