//! What reads the kernel's answers, for the fuzz targets.

use letmein_common::ResourceId;
use netlink_bindings::nftables::PushSetelemListAttrs;

use super::elements::{ElementKey, read_elements, read_flows, read_keys};
use super::lease::{Lease, Protocol};
use super::lease_set::{Family, Kind, LeaseSet};
use super::message::{Answer, answers};
use super::plan::{FirewallPlan, Scope};
use super::ports::PortRange;
use super::shape::Shape;
use super::watch::Changes;

/// The port of our own socket, in notifications.
const OWN_PORT: u32 = 7;
const RANGE: PortRange = PortRange {
    protocol: Protocol::Udp,
    first: 60_000,
    last: 61_000,
};
/// One of each kind.
const SETS: [LeaseSet; 5] = [
    LeaseSet::whole(Family::V4, Kind::Ports),
    LeaseSet::whole(Family::V6, Kind::Ports),
    LeaseSet::whole(Family::V4, Kind::Range(RANGE)),
    LeaseSet::whole(Family::V6, Kind::Jump(ResourceId(7))),
    LeaseSet {
        family: Family::V6,
        prefix: 0,
        kind: Kind::Jump(ResourceId(7)),
    },
];

fn scope() -> Scope {
    FirewallPlan::default().scope()
}

/// Reads a datagram of notifications.
pub fn notifications(datagram: &[u8]) {
    let _changes = Changes::told(scope(), OWN_PORT, datagram);
}

/// Reads each message of a datagram as what the kernel says of tables, chains and sets.
pub fn shape(datagram: &[u8]) {
    let scope = scope();
    answers(datagram, &mut |answer: &Answer<'_>| {
        let attributes = answer.payload.get(4..).unwrap_or_default();
        let _complete = Shape::told(&scope, attributes).is_complete(&scope, 0);
    });
}

/// What the attributes of a dump's message are, if it is of a set of each kind: the leases, and those that are read when
/// these are written as the kernel would.
#[must_use]
pub fn leases(attributes: &[u8]) -> Vec<(Vec<Lease>, Vec<Lease>)> {
    for family in Family::BOTH {
        read_flows(family, attributes, |_address, _client, _here| ());
    }
    let twice = |set| {
        let leases = read(set, attributes);
        let again = read(set, &written(set, &leases));
        (leases, again)
    };
    SETS.into_iter().map(twice).collect()
}

fn read(set: LeaseSet, attributes: &[u8]) -> Vec<Lease> {
    let mut leases = Vec::new();
    read_elements(set, attributes, |lease| leases.extend(lease));
    read_keys(set, attributes, |_key| ());
    leases
}

fn written(set: LeaseSet, leases: &[Lease]) -> Vec<u8> {
    let mut attributes = Vec::new();
    let mut elements = PushSetelemListAttrs::new(&mut attributes).nested_elements();
    for lease in leases {
        let element = elements.nested_elem().nested_key();
        let key = ElementKey::of(set, &lease.key);
        let element = element.push_value(key.as_slice()).end_nested();
        let millis = u64::try_from(lease.remaining.as_millis()).unwrap_or(u64::MAX);
        elements = element.push_expiration(millis.to_be()).end_nested();
    }
    drop(elements);
    attributes
}

/// The name of the set that this is the name of, if of any.
#[must_use]
pub fn lease_set(name: &str) -> Option<String> {
    LeaseSet::parse(name).map(|set| set.to_string())
}
