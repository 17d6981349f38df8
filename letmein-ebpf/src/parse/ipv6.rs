//! IPv6 with extension headers (RFC 8200).

use super::{
    ip::{Found, Network, TCP, UDP},
    tcp, udp,
};
use crate::{packet::Packet, tables::setting};

/// Offset of the source address.
pub const SOURCE: usize = 8;
const LEN: usize = 40;
/// IANA protocol numbers of the extension headers that can be skipped.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const FRAGMENT_OFFSET: u16 = 0xFFF8;
/// RFC 8200 lets ordinary senders chain seven at the most (section 4.1).
const MAX_EXTENSIONS: usize = 8;

/// A chain that cannot be followed to its end is refused, not passed: the kernel could follow it. It may lead out of
/// the first buffer of a jumbo frame, which is all that can be read here.
#[inline(always)]
pub fn parse(packet: &Packet, at: usize) -> Option<Found> {
    let header: &[u8; LEN] = packet.bytes(at)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let end = at + LEN + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let mut next = header[6];
    let mut offset = at + LEN;
    let mut fragment = false;
    for _ in 0..=MAX_EXTENSIONS {
        let length = match next {
            UDP => {
                if offset > at + LEN && packet.bytes::<{ udp::LEN }>(offset).is_none() {
                    break;
                }
                return Some(Found::Udp(Network::v6(
                    at,
                    offset,
                    end.saturating_sub(offset),
                    fragment,
                )));
            }
            TCP => {
                if setting!(shield_tcp) == 0 {
                    return None;
                }
                if offset > at + LEN && packet.bytes::<{ tcp::PORTS_LEN }>(offset).is_none() {
                    break;
                }
                return Some(Found::Tcp(Network::v6(
                    at,
                    offset,
                    end.saturating_sub(offset),
                    fragment,
                )));
            }
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                let Some(extension) = packet.bytes::<2>(offset) else {
                    break;
                };
                next = extension[0];
                (usize::from(extension[1]) + 1) * 8
            }
            AUTHENTICATION => {
                let Some(extension) = packet.bytes::<2>(offset) else {
                    break;
                };
                next = extension[0];
                (usize::from(extension[1]) + 2) * 4
            }
            FRAGMENT => {
                let Some(extension) = packet.bytes::<8>(offset) else {
                    break;
                };
                if u16::from_be_bytes([extension[2], extension[3]]) & FRAGMENT_OFFSET != 0 {
                    return None;
                }
                fragment = true;
                next = extension[0];
                8
            }
            _ => return None,
        };
        offset += length;
    }
    Some(Found::HeaderChain)
}
