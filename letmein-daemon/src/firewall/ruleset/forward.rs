//! Services behind this machine: what it passes on to them, routed or with the destination translated.
//!
//! Everything goes by the port that the client has asked for, which conntrack remembers. What conntrack does not follow
//! is not translated either, so there it is the port in the packet.

use nftables::expr::{Expression, MetaKey};
use nftables::stmt::{Operator, Statement};

use super::super::expression::{asked_port, concat, ct_state, equals, matches, meta, payload, text};
use super::super::layout::Layout;
use super::super::lease::Protocol;
use super::super::plan::{FORWARDED_SET, FirewallPlan, Hook, Mode};
use super::writer::Writer;
use super::{ACCEPT, close, is_open, is_protocol, leases, set};

/// The rules of a chain at the forward hook.
pub(super) fn rules(writer: &mut Writer, plan: &FirewallPlan, layout: &Layout, chain: &str) {
    leases::jump(writer, layout, plan, Hook::Forward, chain);
    if !plan.forwards() {
        return;
    }
    let forwarded = || set(layout, FORWARDED_SET);
    if let Mode::Guard { .. } = plan.mode {
        for interface in &plan.inside {
            let from_inside = equals(meta(MetaKey::Iifname), text(interface));
            writer.rule(chain, "from inside", vec![from_inside, ACCEPT]);
        }
        writer.rule(chain, "open connections", vec![is_open(), ACCEPT]);
    }
    for protocol in Protocol::ALL {
        let is_other = matches(asked(), Operator::NEQ, forwarded());
        let statements = vec![is_protocol(protocol), is_other, Statement::Return(None)];
        writer.rule(chain, "other ports", statements);
    }
    leases::accept_forwarded(writer, layout, chain);
    if let Mode::Guard { closed } = plan.mode {
        for protocol in Protocol::ALL {
            let is_closed = equals(asked(), forwarded());
            close(writer, chain, closed, Some(protocol), &[is_closed]);
        }
        let states = Expression::List(vec![text("invalid"), text("untracked")]);
        let port = concat([meta(MetaKey::L4proto), payload("th", "dport")]);
        let conditions = [
            matches(ct_state(), Operator::IN, states),
            equals(port, forwarded()),
        ];
        close(writer, chain, closed, None, &conditions);
    }
}

/// What a set of ports has as key. A rule has to name the protocol before.
fn asked() -> Expression<'static> {
    concat([meta(MetaKey::L4proto), asked_port()])
}
