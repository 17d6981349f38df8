//! IPv6 with extension headers (RFC 8200).

use super::{
    Unreadable,
    ip::{Found, Network},
    tcp, udp, unforeseen,
};
use crate::packet::Packet;
use aya_ebpf::{EbpfContext as _, bindings::xdp_md, programs::XdpContext};
use letmein_common::reason::Reason;

/// Offset of the source address.
pub const SOURCE: usize = 8;
/// Offset of the destination address.
pub const DESTINATION: usize = 24;
const LEN: usize = 40;
/// IANA protocol numbers of the extension headers that can be skipped.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
/// Neither UDP nor TCP: "no next header".
const LATER_FRAGMENT: u8 = 59;
const FRAGMENT_OFFSET: u16 = 0xFFF8;
/// No extension header is shorter, and a fragment header is just as long.
const MIN_EXTENSION: usize = 8;
/// RFC 8200 lets ordinary senders chain seven at the most (section 4.1).
const MAX_EXTENSIONS: usize = 8;
/// In what `follow_extensions` returns.
const IN_FRAGMENT: u64 = 0x100;
/// The verifier has to know that nothing begins behind these, and wants to see bits for it: the first extension header,
/// and what comes after the last one.
const LAST_NETWORK: u64 = 127;
const LAST_TRANSPORT: usize = 0x7FFF;
const _: () = assert!(LAST_NETWORK + (MAX_EXTENSIONS as u64 + 1) * 256 * 8 <= LAST_TRANSPORT as u64);

/// A chain that cannot be followed to its end is dropped, not passed: the kernel could follow it. It may lead out of
/// the first buffer of a jumbo frame, which is all that can be read here.
#[inline(always)]
pub fn parse(ctx: &XdpContext, packet: &Packet, at: usize) -> Result<Found, Unreadable> {
    let header: &[u8; LEN] = packet.bytes(at).ok_or(Unreadable::Pass)?;
    if header[0] >> 4 != 6 {
        return Err(Unreadable::Pass);
    }
    let next = header[6];
    let first = at + LEN;
    let end = match u16::from_be_bytes([header[4], header[5]]) {
        // The kernel takes all of the frame, unless a jumbo payload option (RFC 2675) says how long the packet is. That
        // is more than 65,535 bytes then, and so more than any chain that is followed here.
        0 if next == HOP_BY_HOP => packet.len(),
        payload => first + usize::from(payload),
    };
    if !is_extension(next) {
        return Network::v6(at, first, end - first, false).carries(next, Reason::Truncated);
    }
    let found = unforeseen(follow_extensions(ctx.as_ptr().cast(), first as u64, next));
    let offset = (found >> 16) as usize & LAST_TRANSPORT;
    // Where one of them leaves the packet, so does what follows.
    if found == 0 || offset > end {
        return Err(Unreadable::Drop(Reason::HeaderChain));
    }
    let fragment = found & IN_FRAGMENT != 0;
    let network = Network::v6(at, offset, end - offset, fragment);
    let found = network.carries((found & 0xFF) as u8, Reason::HeaderChain)?;
    let port_is_there = match found {
        Found::Udp(_) => packet.bytes::<{ udp::LEN }>(offset).is_some(),
        Found::Tcp(_) => packet.bytes::<{ tcp::PORTS_LEN }>(offset).is_some(),
    };
    if port_is_there {
        Ok(found)
    } else {
        Err(Unreadable::Drop(Reason::HeaderChain))
    }
}

#[inline(always)]
const fn is_extension(number: u8) -> bool {
    matches!(
        number,
        HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | AUTHENTICATION | FRAGMENT
    )
}

/// What is behind the extension headers that begin at `offset`: its number, whether it is in a fragment, and in the upper
/// half where it begins. 0 if they go on for too long or leave the frame.
///
/// A global function of BPF: the verifier walks through it once, and not through the rest of the program for each chain.
// SAFETY: a global function of BPF has a name of its own in the object.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn follow_extensions(ctx: *mut xdp_md, offset: u64, next: u8) -> u64 {
    let packet = Packet::of(&XdpContext::new(ctx));
    let mut offset = (unforeseen(offset) & LAST_NETWORK) as usize;
    let mut next = next;
    let mut fragment = 0;
    for _ in 0..=MAX_EXTENSIONS {
        if !is_extension(next) {
            return (offset as u64) << 16 | fragment | u64::from(next);
        }
        let Some(extension) = packet.bytes::<MIN_EXTENSION>(offset) else {
            return 0;
        };
        let units = usize::from(extension[1]);
        offset += match next {
            AUTHENTICATION => (units + 2) * 4,
            FRAGMENT => MIN_EXTENSION,
            _ => (units + 1) * 8,
        };
        if next == FRAGMENT {
            fragment = IN_FRAGMENT;
            if u16::from_be_bytes([extension[2], extension[3]]) & FRAGMENT_OFFSET != 0 {
                // As of IPv4, whatever is in it.
                return (offset as u64) << 16 | fragment | u64::from(LATER_FRAGMENT);
            }
        }
        next = extension[0];
    }
    0
}
