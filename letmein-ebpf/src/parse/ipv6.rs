//! IPv6 with extension headers (RFC 8200).

use super::ip::{Found, Network, UDP};
use crate::packet::Packet;

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
                return Some(Found::Udp(Network::v6(
                    at,
                    offset,
                    end.saturating_sub(offset),
                    fragment,
                )));
            }
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                let extension: &[u8; 2] = packet.bytes(offset)?;
                next = extension[0];
                (usize::from(extension[1]) + 1) * 8
            }
            AUTHENTICATION => {
                let extension: &[u8; 2] = packet.bytes(offset)?;
                next = extension[0];
                (usize::from(extension[1]) + 2) * 4
            }
            FRAGMENT => {
                let extension: &[u8; 8] = packet.bytes(offset)?;
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
