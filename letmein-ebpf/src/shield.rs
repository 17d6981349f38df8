//! TCP and UDP for protected ports: who holds no lease begins no conversation.

use crate::{
    control::refuse,
    packet::Packet,
    parse::{ip::Network, tcp},
    tables::{now, setting},
};
use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, xdp_action::XDP_DROP},
    macros::map,
    maps::{Array, HashMap},
    programs::XdpContext,
};
use letmein_common::{
    reason::Reason,
    shield::{LeaseKey, PortRule, Segment, Tables, Transport, check},
};

/// The rules of all ports: written by the daemon only. It sets the size.
#[map]
static RULES: Array<PortRule> = Array::with_max_entries(1, 0);
/// When each lease ends: written by the daemon only. It sets the size, which is seldom used up, so memory comes with
/// the elements.
#[map]
static LEASES: HashMap<LeaseKey, u64> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// A TCP segment.
#[inline(always)]
pub fn tcp(ctx: &XdpContext, packet: &Packet, network: &Network) -> Option<u32> {
    if setting!(shield_tcp) == 0 {
        return None;
    }
    let header = tcp::parse(packet, network)?;
    let flags = header.flags.ok_or(if network.fragment {
        Reason::Fragment
    } else {
        Reason::Truncated
    });
    judge(ctx, packet, network, Segment::Tcp(flags), header.destination_port)
}

/// A UDP datagram that is not for the control port.
#[inline(always)]
pub fn udp(ctx: &XdpContext, packet: &Packet, network: &Network, port: u16) -> Option<u32> {
    if setting!(shield_udp) == 0 {
        return None;
    }
    judge(ctx, packet, network, Segment::Udp, port)
}

/// `None` is for the kernel to deal with.
#[inline(always)]
pub fn judge(
    ctx: &XdpContext,
    packet: &Packet,
    network: &Network,
    segment: Segment,
    port: u16,
) -> Option<u32> {
    check(&Maps { packet, network }, segment, port)
        .err()
        .map(|reason| {
            refuse(ctx, packet, network, port.into(), reason);
            XDP_DROP
        })
}

/// What the shield knows, in BPF maps.
struct Maps<'a> {
    packet: &'a Packet,
    network: &'a Network,
}

impl Tables for Maps<'_> {
    #[inline(always)]
    fn rule(&self, index: u32) -> PortRule {
        RULES.get(index).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn lease_end(&self, transport: Transport, rule: &PortRule) -> Option<u64> {
        let source = self.network.source(self.packet)?;
        let key = LeaseKey::new(&source, transport, rule);
        // SAFETY: an aligned word, which the daemon replaces as a whole.
        unsafe { LEASES.get(key) }.copied()
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        now()
    }
}
