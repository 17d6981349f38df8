//! Ethernet II with VLAN tags.

use super::{Unreadable, unforeseen};
use crate::packet::Packet;
use aya_ebpf::{EbpfContext as _, bindings::xdp_md, programs::XdpContext};
use letmein_common::reason::Reason;

/// Destination and source address, in front of the `EtherType`.
const ADDRESSES_LEN: usize = 12;
const TAG_LEN: usize = 4;
/// C-VLAN (IEEE 802.1Q), S-VLAN (IEEE 802.1ad) and the `QinQ` tag from before the standard.
const TAGS: [u16; 3] = [0x8100, 0x88A8, 0x9100];
/// Providers use two. The kernel removes any number of them, so a frame with more is dropped.
const MAX_TAGS: usize = 8;
/// The verifier has to know that no network header begins behind this, and wants to see bits for it.
const LAST_NETWORK: usize = 63;
const _: () = assert!(ADDRESSES_LEN + 2 + TAG_LEN * MAX_TAGS <= LAST_NETWORK);

/// Where the network header is, and what it is.
pub struct Frame {
    pub ethertype: u16,
    pub network: usize,
}

#[inline(always)]
pub fn parse(ctx: &XdpContext, packet: &Packet) -> Result<Frame, Unreadable> {
    let ethertype = packet.be16(ADDRESSES_LEN).ok_or(Unreadable::Pass)?;
    if !TAGS.contains(&ethertype) {
        return Ok(Frame {
            ethertype,
            network: ADDRESSES_LEN + 2,
        });
    }
    let found = unforeseen(follow_tags(ctx.as_ptr().cast()));
    let ethertype = (found & 0xFFFF) as u16;
    if TAGS.contains(&ethertype) {
        return Err(Unreadable::Drop(Reason::HeaderChain));
    }
    Ok(Frame {
        ethertype,
        network: (found >> 16) as usize & LAST_NETWORK,
    })
}

/// The `EtherType` behind the tags, and in the upper half where what it names begins. 0 for a frame that ends within a
/// tag, which the kernel discards.
///
/// A global function of BPF: the verifier walks through it once, and not through the rest of the program for each
/// number of tags.
// SAFETY: a global function of BPF has a name of its own in the object.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn follow_tags(ctx: *mut xdp_md) -> u64 {
    let packet = Packet::of(&XdpContext::new(ctx));
    let mut at = ADDRESSES_LEN;
    let Some(mut ethertype) = packet.be16(at) else {
        return 0;
    };
    for _ in 0..MAX_TAGS {
        if !TAGS.contains(&ethertype) {
            break;
        }
        at += TAG_LEN;
        let Some(next) = packet.be16(at) else {
            return 0;
        };
        ethertype = next;
    }
    ((at + 2) as u64) << 16 | u64::from(ethertype)
}
