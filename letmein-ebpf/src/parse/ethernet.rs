//! Ethernet II with up to two VLAN tags.

use crate::packet::Packet;

/// Destination and source address, in front of the `EtherType`.
const ADDRESSES_LEN: usize = 12;
const TAG_LEN: usize = 4;
/// C-VLAN (IEEE 802.1Q), S-VLAN (IEEE 802.1ad) and the `QinQ` tag from before the standard.
const TAGS: [u16; 3] = [0x8100, 0x88A8, 0x9100];
/// One for the provider, one for the customer.
const MAX_TAGS: usize = 2;

/// Where the network header is, and what it is.
pub struct Frame {
    pub ethertype: u16,
    pub network: usize,
}

#[inline(always)]
pub fn parse(packet: &Packet) -> Option<Frame> {
    let mut at = ADDRESSES_LEN;
    let mut ethertype = packet.be16(at)?;
    for _ in 0..MAX_TAGS {
        if TAGS.contains(&ethertype) {
            at += TAG_LEN;
            ethertype = packet.be16(at)?;
        }
    }
    Some(Frame {
        ethertype,
        network: at + 2,
    })
}
