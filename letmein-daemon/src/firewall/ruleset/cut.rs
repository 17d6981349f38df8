//! What keeps connections dead that were cut: no packet of theirs leaves this machine, so none makes a connection of them
//! again.
//!
//! A chain of its own, where packets leave, be they of this machine or forwarded. In chain mode as well: the user's own
//! rules accept established connections before they come to ours.

use nftables::expr::{Expression, MetaKey};
use nftables::stmt::{Operator, Statement};

use super::super::expression::{concat, ct_state, equals, in_range, matches, meta, payload, text};
use super::super::layout::Layout;
use super::super::lease::Protocol;
use super::super::lease_set::Family;
use super::super::plan::{CUT_CHAIN, CUT_FLOWS, CUT_PORTS, FirewallPlan, Hook};
use super::writer::Writer;
use super::{ACCEPT, set, syn};

/// After source NAT (100): the packet is as the client gets it.
const CUT_PRIORITY: i32 = 300;

/// The chain and its sets, if any connection is to be cut.
pub(super) fn install(writer: &mut Writer, plan: &FirewallPlan, layout: &Layout) {
    if !layout.cuts() {
        return;
    }
    for (_, flows, types) in CUT_FLOWS {
        writer.timed_set(&layout.name(flows), &types, plan.capacity);
    }
    let chain = layout.name(CUT_CHAIN);
    writer.base_chain(&chain, Hook::Postrouting, CUT_PRIORITY);
    let loopback = equals(meta(MetaKey::Oif), text("lo"));
    writer.rule(&chain, "loopback", vec![loopback, ACCEPT]);

    // A TCP packet in the middle of a connection that conntrack does not know. What this machine begins begins with a bare
    // SYN.
    let port = concat([meta(MetaKey::L4proto), payload("th", "sport")]);
    let single = equals(port, set(layout, CUT_PORTS));
    let ranges = plan.ranges(|protected| protected.cut && protected.ports.protocol == Protocol::Tcp);
    let ranges = ranges
        .into_iter()
        .map(|range| in_range(payload("tcp", "sport"), range));
    for is_cut in [single].into_iter().chain(ranges) {
        let states = Expression::List(vec![text("new"), text("invalid")]);
        let statements = vec![
            is_cut,
            matches(ct_state(), Operator::IN, states),
            syn::is_not_bare(),
            Statement::Drop(None),
        ];
        writer.rule(&chain, "TCP connections that were cut", statements);
    }

    for (family, flows, _) in CUT_FLOWS {
        let address = match family {
            Family::V4 => payload("ip", "daddr"),
            Family::V6 => payload("ip6", "daddr"),
        };
        let flow = concat([address, payload("udp", "dport"), payload("udp", "sport")]);
        let statements = vec![equals(flow, set(layout, flows)), Statement::Drop(None)];
        writer.rule(&chain, "UDP flows that were cut", statements);
    }
}
