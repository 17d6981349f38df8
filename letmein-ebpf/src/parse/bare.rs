//! Links without an Ethernet header. Generic XDP sees what the kernel has at the MAC header: on most of them that is the
//! IP packet itself; on GRE and SIT tunnels it is the IPv4 packet that carries it.

use super::{
    ethernet::Frame,
    ip::{ETHERTYPE_IPV4, ETHERTYPE_IPV6},
    ipv4,
};
use crate::packet::Packet;

/// IANA protocol numbers of what carries another packet.
const IPV6_IN_IPV4: u8 = 41;
const GRE: u8 = 47;
/// Flags of GRE (RFC 2784, RFC 2890), each of which stands for four more bytes: checksum, key, sequence number.
const GRE_OPTIONS: [u16; 3] = [0x8000, 0x2000, 0x1000];
const GRE_LEN: usize = 4;

/// A packet that begins with its IP header. What it is, its version tells.
#[inline(always)]
pub fn parse(packet: &Packet) -> Option<Frame> {
    frame(first(packet, 0)?, 0)
}

/// A packet behind the IPv4 header of a tunnel, and the GRE header if there is one. Some packets of a SIT tunnel (IPv4 in
/// IPv4) come without.
#[inline(always)]
pub fn parse_carried(packet: &Packet) -> Option<Frame> {
    let outer: &[u8; ipv4::MIN_LEN] = packet.bytes(0)?;
    let length = usize::from(outer[0] & 0x0F) * 4;
    if outer[0] >> 4 != 4 || length < ipv4::MIN_LEN {
        return frame(outer[0], 0);
    }
    let mut at = length;
    match outer[ipv4::PROTOCOL] {
        IPV6_IN_IPV4 => {}
        GRE => {
            let flags = packet.be16(at)?;
            at += GRE_LEN;
            for option in GRE_OPTIONS {
                if flags & option != 0 {
                    at += 4;
                }
            }
        }
        _ => return frame(outer[0], 0),
    }
    frame(first(packet, at)?, at)
}

/// The first byte of an IP header. The verifier does not see that one byte is there where no more are asked for.
#[inline(always)]
fn first(packet: &Packet, at: usize) -> Option<u8> {
    packet.bytes::<{ ipv4::MIN_LEN }>(at).map(|header| header[0])
}

#[inline(always)]
fn frame(first: u8, network: usize) -> Option<Frame> {
    let ethertype = match first >> 4 {
        4 => ETHERTYPE_IPV4,
        6 => ETHERTYPE_IPV6,
        _ => return None,
    };
    Some(Frame { ethertype, network })
}
