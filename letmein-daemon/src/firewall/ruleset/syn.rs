//! What begins a TCP connection needs a lease, whatever conntrack thinks of it.
//!
//! To conntrack, a SYN belongs to the connection whose addresses and ports it has, as long as there is an entry. But the
//! server may have closed that connection long ago, and then its listening socket takes the SYN for a new one. So a bare
//! SYN is never accepted as part of an open connection: it meets the rules for whoever comes for the first time.
//!
//! In chain mode the user's own rules usually accept what is established before they come to ours. There, chains of our
//! own at the same hooks drop such a SYN, and leave everything else to the user's rules.

use letmein_common::shield::{BARE_SYN, BARE_SYN_MASK};
use nftables::expr::{Expression, MetaKey};
use nftables::stmt::{Operator, Statement};

use super::super::expression::{bits, ct_state, matches, meta, payload, text};
use super::super::layout::Layout;
use super::super::lease::Protocol;
use super::super::plan::{Closed, FirewallPlan, Hook};
use super::writer::Writer;
use super::{ACCEPT, GUARD_PRIORITY, accept_loopback, close_protected, forward, leases};

/// Only TCP says what begins a connection.
const TCP: [Protocol; 1] = [Protocol::Tcp];

/// Accepts packets of connections that are open already. (Errors that belong to one have no port, so no rule closes
/// anything to them. And what conntrack expects because of another connection begins one of its own.)
pub(super) fn accept_open(writer: &mut Writer, chain: &str) {
    let is_established = || matches(ct_state(), Operator::IN, text("established"));
    let tcp = vec![is_not_bare(), is_established(), ACCEPT];
    writer.rule(chain, "open TCP connections", tcp);
    let others = vec![is_not_tcp(), is_established(), ACCEPT];
    writer.rule(chain, "other open connections", others);
}

/// The chains of chain mode.
pub(super) fn install(writer: &mut Writer, plan: &FirewallPlan, layout: &Layout) {
    for (hook, chain) in plan.syn_chains() {
        let chain = &layout.name(chain);
        writer.base_chain(chain, hook, GUARD_PRIORITY);
        writer.rule(chain, "not TCP", vec![is_not_tcp(), ACCEPT]);
        writer.rule(chain, "begins nothing", vec![is_not_bare(), ACCEPT]);
        // To these, the user's rules for new connections apply.
        let states = ["new", "invalid", "untracked"].map(text).into();
        let is_new = matches(ct_state(), Operator::IN, Expression::List(states));
        writer.rule(chain, "new connections", vec![is_new, ACCEPT]);
        if hook == Hook::Forward {
            leases::accept_forwarded(writer, layout, chain, &TCP);
            forward::close_asked(writer, plan, layout, chain, Closed::Drop, &TCP);
        } else {
            accept_loopback(writer, chain);
            leases::accept(writer, layout, chain, &TCP);
            close_protected(writer, plan, layout, chain, Closed::Drop, &TCP);
        }
    }
}

/// Whether a TCP segment could not begin a connection: what [`letmein_common::shield::is_bare_syn`] says no to.
pub(super) fn is_not_bare() -> Statement<'static> {
    let flags = bits(payload("tcp", "flags"), BARE_SYN_MASK);
    matches(flags, Operator::NEQ, Expression::Number(BARE_SYN.into()))
}

fn is_not_tcp() -> Statement<'static> {
    let tcp = text(Protocol::Tcp.name());
    matches(meta(MetaKey::L4proto), Operator::NEQ, tcp)
}
