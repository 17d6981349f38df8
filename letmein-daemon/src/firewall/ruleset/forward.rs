//! Services behind this machine: what it passes on to them, routed or with the destination translated.
//!
//! Everything goes by the port that the client has asked for, which conntrack remembers. What conntrack does not follow
//! is not translated either, so there it is the port in the packet.

use nftables::expr::{Expression, MetaKey};
use nftables::stmt::{Operator, Statement};

use super::super::expression::{
    asked_port, concat, ct_state, equals, in_range, matches, meta, payload, text,
};
use super::super::layout::Layout;
use super::super::lease::Protocol;
use super::super::plan::{Closed, FORWARDED_SET, FirewallPlan, Hook, Mode};
use super::writer::Writer;
use super::{ACCEPT, close, leases, set, syn};

/// The rules of a chain at the forward hook.
pub(super) fn rules(writer: &mut Writer, plan: &FirewallPlan, layout: &Layout, chain: &str) {
    leases::jump(writer, layout, plan, Hook::Forward, chain);
    if !plan.forwards() {
        return;
    }
    if let Mode::Guard { .. } = plan.mode {
        for interface in &plan.inside {
            let from_inside = equals(meta(MetaKey::Iifname), text(interface));
            writer.rule(chain, "from inside", vec![from_inside, ACCEPT]);
        }
        syn::accept_open(writer, chain);
    }
    leases::accept_forwarded(writer, layout, chain, &Protocol::ALL);
    if let Mode::Guard { closed } = plan.mode {
        close_asked(writer, plan, layout, chain, closed, &Protocol::ALL);
        let ranges = plan.ranges(|protected| protected.forward);
        let is_unknown = || {
            let states = Expression::List(vec![text("invalid"), text("untracked")]);
            matches(ct_state(), Operator::IN, states)
        };
        let port = concat([meta(MetaKey::L4proto), payload("th", "dport")]);
        let is_closed = equals(port, set(layout, FORWARDED_SET));
        close(writer, chain, closed, None, &[is_unknown(), is_closed]);
        for range in &ranges {
            let is_closed = in_range(payload(range.protocol.name(), "dport"), *range);
            close(
                writer,
                chain,
                closed,
                Some(range.protocol),
                &[is_unknown(), is_closed],
            );
        }
    }
}

/// Closes the ports of these protocols that are forwarded to whoever asked for them.
pub(super) fn close_asked(
    writer: &mut Writer,
    plan: &FirewallPlan,
    layout: &Layout,
    chain: &str,
    closed: Closed,
    protocols: &[Protocol],
) {
    for protocol in protocols {
        close(writer, chain, closed, Some(*protocol), &[is_forwarded(layout)]);
    }
    for range in plan.ranges(|protected| protected.forward) {
        if protocols.contains(&range.protocol) {
            let is_closed = in_range(asked_port(), range);
            close(writer, chain, closed, Some(range.protocol), &[is_closed]);
        }
    }
}

/// Whether the port that was asked for is one of the single ports that are forwarded. A rule has to name the protocol
/// before.
pub(super) fn is_forwarded(layout: &Layout) -> Statement<'static> {
    let asked = concat([meta(MetaKey::L4proto), asked_port()]);
    equals(asked, set(layout, FORWARDED_SET))
}
