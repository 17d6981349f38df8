//! Leases in the ruleset: the sets they are in, and the rules that accept who holds one.

use nftables::expr::{Expression, MetaKey};
use nftables::stmt::Statement;

use super::super::expression::{asked_port, concat, equals, in_range, masked, meta, payload};
use super::super::layout::{Family, Layout, LeaseSet, Target};
use super::super::lease::Protocol;
use super::is_protocol;
use super::writer::Writer;

/// Makes the sets that are not there yet.
pub(super) fn sets(writer: &mut Writer, layout: &Layout, capacity: u32) {
    for set in layout.sets() {
        writer.timed_set(&layout.name(set), set.key_types(), capacity);
    }
}

/// Accepts in a chain of the input hook who holds a lease.
pub(super) fn accept(writer: &mut Writer, layout: &Layout, chain: &str) {
    for set in layout.sets() {
        let name = super::set(layout, set);
        let source = source(set);
        let mut statements = match set.target {
            Target::Ports => {
                let key = concat([source, meta(MetaKey::L4proto), payload("th", "dport")]);
                vec![equals(key, name)]
            }
            Target::Range(ports) => {
                let port = payload(ports.protocol.name(), "dport");
                vec![in_range(port, ports), equals(source, name)]
            }
        };
        statements.push(Statement::Accept(None));
        writer.rule(chain, &what(set), statements);
    }
}

/// Accepts in a chain of the forward hook who holds a lease of a port that is forwarded. What the client has asked for
/// counts, and not what that was translated to.
pub(super) fn accept_forwarded(writer: &mut Writer, layout: &Layout, chain: &str) {
    for set in layout.sets().filter(|set| layout.is_forwarded(*set)) {
        let name = super::set(layout, set);
        let mut accept = |protocol: Protocol, conditions: Vec<Statement<'static>>| {
            // Without this, nft does not know that what conntrack has is a port.
            let mut statements = vec![is_protocol(protocol)];
            statements.extend(conditions);
            statements.push(Statement::Accept(None));
            writer.rule(chain, &what(set), statements);
        };
        match set.target {
            Target::Ports => {
                for protocol in Protocol::ALL {
                    let key = concat([source(set), meta(MetaKey::L4proto), asked_port()]);
                    accept(protocol, vec![equals(key, name.clone())]);
                }
            }
            Target::Range(ports) => {
                let conditions = vec![in_range(asked_port(), ports), equals(source(set), name)];
                accept(ports.protocol, conditions);
            }
        }
    }
}

/// The source address of a packet, or as much of it as counts.
fn source(set: LeaseSet) -> Expression<'static> {
    let address = match set.family {
        Family::V4 => payload("ip", "saddr"),
        Family::V6 => payload("ip6", "saddr"),
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
    match set.target {
        Target::Ports => format!("{family} leases"),
        Target::Range(ports) => format!("{family} leases of {ports}"),
    }
}
