//! Leases in the ruleset: the sets they are in, and the rules that accept who holds one.

use nftables::expr::MetaKey;
use nftables::stmt::Statement;

use super::super::expression::{concat, equals, in_range, masked, meta, payload, text};
use super::super::layout::{Family, Layout, LeaseSet, Target};
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
        let name = text(&format!("@{}", layout.name(set)));
        let source = source(&set);
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
        writer.rule(chain, &what(&set), statements);
    }
}

/// The source address of a packet, or as much of it as counts.
fn source(set: &LeaseSet) -> nftables::expr::Expression<'static> {
    let address = match set.family {
        Family::V4 => payload("ip", "saddr"),
        Family::V6 => payload("ip6", "saddr"),
    };
    match set.mask() {
        Some(mask) => masked(address, mask),
        None => address,
    }
}

fn what(set: &LeaseSet) -> String {
    let mut what = match set.family {
        Family::V4 => "IPv4 leases".to_owned(),
        Family::V6 => "IPv6 leases".to_owned(),
    };
    if let Target::Range(ports) = set.target {
        what.push_str(&format!(" of {ports}"));
    }
    what
}
