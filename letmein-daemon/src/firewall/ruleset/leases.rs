//! Leases in the ruleset: the sets they are in, and the rules that accept who holds one.

use nftables::expr::{Elem, Expression, MetaKey, NamedExpression};
use nftables::stmt::{JumpTarget, Statement};

use super::super::comment;
use super::super::expression::{asked_port, concat, equals, in_range, masked, meta, payload, text};
use super::super::layout::Layout;
use super::super::lease::{Lease, Protocol};
use super::super::lease_set::{Family, Kind, LeaseSet};
use super::super::plan::{FirewallPlan, Hook};
use super::forward::is_forwarded;
use super::is_protocol;
use super::writer::Writer;

/// Makes the sets that are not there yet.
pub(super) fn sets(writer: &mut Writer, layout: &Layout, capacity: u32) {
    for set in layout.sets() {
        writer.timed_set(&layout.name(set), set.key_types(), capacity);
    }
}

/// A lease, as an element of this set.
pub(super) fn element(set: LeaseSet, lease: &Lease) -> Expression<'static> {
    let address = text(&lease.key.address.to_canonical().to_string());
    let value = match (set.kind, lease.key.port()) {
        (Kind::Ports, Some((protocol, port))) => {
            concat([address, text(protocol.name()), Expression::Number(port.into())])
        }
        _ => address,
    };
    Expression::Named(NamedExpression::Elem(Elem {
        val: Box::new(value),
        timeout: u32::try_from(lease.remaining.as_secs() + 1).ok(),
        expires: None,
        comment: comment::text(lease).map(Into::into),
        counter: None,
    }))
}

/// Accepts in a chain of the input hook who holds a lease of ports of these protocols.
pub(super) fn accept(writer: &mut Writer, layout: &Layout, chain: &str, protocols: &[Protocol]) {
    for set in layout.sets() {
        let name = super::set(layout, set);
        let source = address(set, "saddr");
        let mut statements = match set.kind {
            Kind::Ports => {
                let key = concat([source, meta(MetaKey::L4proto), payload("th", "dport")]);
                vec![equals(key, name)]
            }
            Kind::Range(ports) if protocols.contains(&ports.protocol) => {
                let port = payload(ports.protocol.name(), "dport");
                vec![in_range(port, ports), equals(source, name)]
            }
            Kind::Range(_) | Kind::Jump(_) => continue,
        };
        statements.push(Statement::Accept(None));
        writer.rule(chain, &what(set), statements);
    }
}

/// Accepts in a chain of the forward hook who holds a lease of a port that is forwarded. What the client has asked for
/// counts, and not what that was translated to.
pub(super) fn accept_forwarded(writer: &mut Writer, layout: &Layout, chain: &str, protocols: &[Protocol]) {
    for set in layout.sets().filter(|set| layout.is_forwarded(*set)) {
        let name = super::set(layout, set);
        let mut accept = |protocol: Protocol, conditions: Vec<Statement<'static>>| {
            // Without this, nft does not know that what conntrack has is a port.
            let mut statements = vec![is_protocol(protocol)];
            statements.extend(conditions);
            statements.push(Statement::Accept(None));
            writer.rule(chain, &what(set), statements);
        };
        match set.kind {
            Kind::Ports => {
                for protocol in protocols {
                    let key = concat([address(set, "saddr"), meta(MetaKey::L4proto), asked_port()]);
                    accept(*protocol, vec![is_forwarded(layout), equals(key, name.clone())]);
                }
            }
            Kind::Range(ports) if protocols.contains(&ports.protocol) => {
                let conditions = vec![in_range(asked_port(), ports), equals(address(set, "saddr"), name)];
                accept(ports.protocol, conditions);
            }
            Kind::Range(_) | Kind::Jump(_) => {}
        }
    }
}

/// Jumps to a chain of the user's for the packets of who holds a lease in this set: those from there, or at the output
/// hook those that go there.
pub(super) fn jump(writer: &mut Writer, layout: &Layout, plan: &FirewallPlan, hook: Hook, chain: &str) {
    let field = match hook {
        Hook::Input | Hook::Forward => "saddr",
        Hook::Output | Hook::Postrouting => "daddr",
    };
    for (jump, to) in plan.jumps_to(hook) {
        let sets = layout.sets().filter(|set| {
            let is_for_all = set.prefix == 0;
            set.kind == Kind::Jump(jump.resource) && is_for_all == to.for_all
        });
        for set in sets {
            let holds = equals(address(set, field), super::set(layout, set));
            let target = JumpTarget {
                target: to.chain.clone().into(),
            };
            writer.rule(chain, &what(set), vec![holds, Statement::Jump(target)]);
        }
    }
}

/// The source or destination address of a packet, or as much of it as counts.
fn address(set: LeaseSet, field: &'static str) -> Expression<'static> {
    let address = match set.family {
        Family::V4 => payload("ip", field),
        Family::V6 => payload("ip6", field),
    };
    match set.mask() {
        Some(mask) => masked(address, mask),
        None => address,
    }
}

fn what(set: LeaseSet) -> String {
    let family = match set.family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    match set.kind {
        Kind::Ports => format!("{family} leases"),
        Kind::Range(ports) => format!("{family} leases of {ports}"),
        Kind::Jump(resource) => format!("{family} leases of jump {resource}"),
    }
}
