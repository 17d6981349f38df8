//! What reads the kernel's answers, for the fuzz targets.

use netlink_bindings::nftables::PushSetelemListAttrs;

use super::elements::{ElementKey, read_elements, read_keys};
use super::lease::Lease;
use super::message::{Answer, answers};
use super::plan::{Closed, FirewallPlan, Mode, Scope};
use super::shape::Shape;
use super::watch::Changes;

/// The port of our own socket, in notifications.
const OWN_PORT: u32 = 7;

fn scope() -> Scope {
    let plan = FirewallPlan {
        mode: Mode::Guard { closed: Closed::Drop },
        protected: Vec::new(),
        control: Vec::new(),
        capacity: 1,
    };
    plan.scope()
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

/// The leases in the attributes of a dump's message.
#[must_use]
pub fn leases(attributes: &[u8]) -> Vec<Lease> {
    let mut leases = Vec::new();
    read_elements(attributes, |lease| leases.extend(lease));
    read_keys(attributes, |_key| ());
    leases
}

/// Such attributes, with these leases in them as they are dumped.
#[must_use]
pub fn elements(leases: &[Lease]) -> Vec<u8> {
    let mut attributes = Vec::new();
    let mut elements = PushSetelemListAttrs::new(&mut attributes).nested_elements();
    for lease in leases {
        let element = elements.nested_elem().nested_key();
        let element = element
            .push_value(ElementKey::of(&lease.key).as_slice())
            .end_nested();
        let millis = u64::try_from(lease.remaining.as_millis()).unwrap_or(u64::MAX);
        elements = element.push_expiration(millis.to_be()).end_nested();
    }
    drop(elements);
    attributes
}
