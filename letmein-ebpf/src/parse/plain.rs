//! The short way for what most frames are: IPv4 without VLAN tag and options. One bounds check, a few loads.
//!
//! It decides nothing that the general parsers would decide differently; it only gets there sooner, so that a
//! server's own traffic does not pay for headers that it does not have.

use super::{
    ip::{Network, TCP, UDP},
    ipv4, tcp,
    udp::{self, Header},
};
use crate::{packet::Packet, tables::setting};
use letmein_common::shield::{Segment, is_bare_syn};

const NETWORK: usize = 14;
const TRANSPORT: usize = NETWORK + ipv4::MIN_LEN;
/// Up to the flags of TCP. A UDP datagram may be a little shorter, and takes the long way then.
const LEN: usize = TRANSPORT + tcp::FLAGS + 1;
const _: () = assert!(LEN >= TRANSPORT + udp::LEN);
/// `EtherType` of IPv4, then version 4 and a header of five words.
const IPV4_WITHOUT_OPTIONS: [u8; 3] = [0x08, 0x00, 0x45];

/// What the frame is.
pub enum Plain {
    /// Neither for the gate nor for the shield.
    Other,
    /// A UDP datagram for the control port.
    Control(Network, Header),
    /// What may begin a conversation, with its port.
    Segment(Network, Segment, u16),
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
    let length = usize::from(be16(NETWORK + 2)).saturating_sub(ipv4::MIN_LEN);
    let network = |fragment| Network::v4(NETWORK, TRANSPORT, length, fragment);
    let protocol = frame[NETWORK + 9];
    if protocol == TCP && setting!(shield_tcp) != 0 {
        let fragmentation = be16(NETWORK + 6) & (ipv4::MORE_FRAGMENTS | ipv4::FRAGMENT_OFFSET);
        if fragmentation != 0 || length <= tcp::FLAGS {
            return Plain::Unsure;
        }
        let flags = frame[TRANSPORT + tcp::FLAGS];
        if !is_bare_syn(flags) {
            return Plain::Other;
        }
        return Plain::Segment(network(false), Segment::Tcp(Ok(flags)), be16(TRANSPORT + 2));
    }
    if protocol != UDP {
        return Plain::Other;
    }
    if length < udp::LEN {
        return Plain::Unsure;
    }
    let port = be16(TRANSPORT + 2);
    let is_control = u32::from(port) == control_port;
    if !is_control && setting!(shield_udp) == 0 {
        return Plain::Other;
    }
    let fragmentation = be16(NETWORK + 6);
    if fragmentation & ipv4::FRAGMENT_OFFSET != 0 {
        return Plain::Other;
    }
    let network = network(fragmentation & ipv4::MORE_FRAGMENTS != 0);
    if !is_control {
        return Plain::Segment(network, Segment::Udp, port);
    }
    let Some(header) = packet.bytes(TRANSPORT) else {
        return Plain::Unsure;
    };
    Plain::Control(network, Header::of(*header))
}
