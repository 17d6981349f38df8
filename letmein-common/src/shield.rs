//! The shield: may this packet begin a conversation with a protected port?
//!
//! One decision for the XDP program and its tests, as in [`crate::gate`]: what it needs to know it asks of [`Tables`].
//!
//! 1. TCP: only a bare SYN begins a connection, and only that is looked at.
//! 2. The rule of the port: one look-up in an array. Most ports have none, and the packet is somebody else's business.
//! 3. The lease of the source: one look-up in a hash map, and a comparison with the clock.

use crate::{reason::Reason, source::Address};

/// A transport protocol that a port belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transport {
    /// IANA protocol number 6.
    Tcp = 6,
    /// IANA protocol number 17.
    Udp = 17,
}

/// What the shield does about one port of one protocol. All zero is no rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PortRule {
    /// The port that the leases are for: of ports that one lease opens together, the first.
    lease_port: u16,
    /// Leading bits of an IPv6 address that one lease is for.
    prefix_v6: u8,
    /// 1 if only who holds a lease may begin.
    shielded: u8,
}

impl PortRule {
    /// Only who holds a lease for `lease_port` may begin; it is for the first `prefix_v6` bits of an IPv6 address.
    #[must_use]
    pub const fn shielded(lease_port: u16, prefix_v6: u8) -> Self {
        Self {
            lease_port,
            prefix_v6,
            shielded: 1,
        }
    }
}

/// How many rules there are: one for each port of each protocol.
pub const RULES: u32 = 2 << 16;

/// The place of a port's rule.
#[inline(always)]
#[must_use]
pub const fn rule_index(transport: Transport, port: u16) -> u32 {
    let half = match transport {
        Transport::Tcp => 0,
        Transport::Udp => 1 << 16,
    };
    half | port as u32
}

/// Key of the leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct LeaseKey {
    /// Who: an IPv4 address, or the network of an IPv6 address.
    address: Address,
    /// [`PortRule::lease_port`]; 32 bits wide so that there is no padding.
    port: u32,
    /// Protocol number; 32 bits wide so that there is no padding.
    protocol: u32,
}

impl LeaseKey {
    /// The lease that `source` needs for ports with this rule.
    #[inline(always)]
    #[must_use]
    pub const fn new(source: &Address, transport: Transport, rule: &PortRule) -> Self {
        Self {
            address: network(source, rule.prefix_v6),
            port: rule.lease_port as u32,
            protocol: transport as u32,
        }
    }
}

/// The network of an IPv6 address. IPv4 addresses are whole.
#[inline(always)]
const fn network(address: &Address, prefix_v6: u8) -> Address {
    if prefix_v6 >= 128 || address.is_v4() {
        return *address;
    }
    let Address([high, low]) = *address;
    if prefix_v6 <= 64 {
        Address([high & mask(prefix_v6), 0])
    } else {
        Address([high, low & mask(prefix_v6 - 64)])
    }
}

/// The first `bits` (at most 64) of a word in network order.
#[inline(always)]
const fn mask(bits: u8) -> u64 {
    match bits {
        0 => 0,
        bits => (u64::MAX << ((64 - bits) & 63)).to_be(),
    }
}

/// What a packet is, as far as the shield looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// TCP: its flags, or why they cannot be seen.
    Tcp(Result<u8, Reason>),
    /// UDP.
    Udp,
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// The TCP flags that tell whether a segment could begin a connection.
pub const BARE_SYN_MASK: u8 = SYN | ACK;
/// What those flags are if it could.
pub const BARE_SYN: u8 = SYN;

/// Whether a TCP segment with these flags could begin a connection. The firewall's rules are made from the same two
/// constants.
///
/// A listening socket answers what has ACK with a reset, looks at SYN next, and takes no notice of the rest but to
/// throw away what has RST or FIN as well. A socket in TIME-WAIT hands on to the listening one what has SYN and neither
/// ACK nor RST. So this leaves nothing out, whatever else is set.
#[inline(always)]
#[must_use]
pub const fn is_bare_syn(flags: u8) -> bool {
    flags & BARE_SYN_MASK == BARE_SYN
}

/// What the shield knows, for one packet.
pub trait Tables {
    /// The rule at this place.
    fn rule(&self, index: u32) -> PortRule;
    /// When the lease of the packet's source for ports with this rule ends, in nanoseconds of `CLOCK_MONOTONIC`.
    fn lease_end(&self, transport: Transport, rule: &PortRule) -> Option<u64>;
    /// What that clock shows.
    fn now(&self) -> u64;
}

/// Judges a segment for `port`.
#[inline(always)]
pub fn check<T: Tables>(tables: &T, segment: Segment, port: u16) -> Result<(), Reason> {
    let transport = match segment {
        Segment::Tcp(Ok(flags)) if !is_bare_syn(flags) => return Ok(()),
        Segment::Tcp(_) => Transport::Tcp,
        Segment::Udp => Transport::Udp,
    };
    let rule = tables.rule(rule_index(transport, port));
    if rule.shielded == 0 {
        return Ok(());
    }
    if let Segment::Tcp(Err(unseen)) = segment {
        return Err(unseen);
    }
    match tables.lease_end(transport, &rule) {
        Some(end) if tables.now() < end => Ok(()),
        _ => Err(Reason::Shield),
    }
}

#[cfg(feature = "user")]
mod pod {
    #![expect(
        unsafe_code,
        reason = "aya asks for this promise about every type that crosses into the kernel"
    )]

    use super::{LeaseKey, PortRule};
    use aya::Pod;

    // SAFETY: `repr(C)`, made of integers and arrays of integers only, and without padding, which the assertions
    // below hold them to.
    unsafe impl Pod for LeaseKey {}
    // SAFETY: as above.
    unsafe impl Pod for PortRule {}
}

// The sum of the fields: were there padding, the type would be larger.
const _: () = {
    assert!(size_of::<PortRule>() == 2 + 1 + 1);
    assert!(size_of::<LeaseKey>() == 16 + 2 * 4);
};
