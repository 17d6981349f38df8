//! What an operator sees of leases, and does to them.

use super::{Event, Grant, LeaseError, Leases, Opener};
use crate::{clock, config::Resource, firewall::LeaseKey};
use std::{net::IpAddr, time::Duration};

/// A grant that lives.
#[derive(Clone, Copy, Debug)]
pub struct Living {
    /// Its end, in nanoseconds of `CLOCK_MONOTONIC`.
    pub end: u64,
    /// What was opened, and who has opened it.
    pub grant: Grant,
}

impl Leases {
    /// How many grants there are, those included that have ended in the last second.
    #[must_use]
    pub fn count(&self) -> usize {
        self.grants.len()
    }

    /// `firewall.max-leases`.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.grants.shares().limit()
    }

    /// The next grants that live, in the order in which they end: from the beginning, or behind this one.
    #[must_use]
    pub fn page(&self, behind: Option<&Living>, most: usize) -> Vec<Living> {
        let now = clock::monotonic();
        // Whatever ended meanwhile is passed over by the way.
        let place = behind.map(|last| (last.end, last.grant));
        let living = self.grants.behind(place).filter(|(end, _)| *end > now);
        let living = living.map(|(end, grant)| Living { end, grant });
        living.take(most).collect()
    }

    /// Whether anybody holds a grant of this lease that lives.
    #[must_use]
    pub fn is_open(&self, key: &LeaseKey) -> bool {
        self.grants.end(key).is_some_and(|end| end > clock::monotonic())
    }

    /// Opens a resource for who has not knocked. `operator` is a user of this machine.
    pub fn open_by_hand(
        &mut self,
        operator: u32,
        resource: &Resource,
        address: IpAddr,
        lease: Duration,
    ) -> Result<(), LeaseError> {
        let name = operator_name(operator);
        self.open_for(Opener::Operator(operator), &name, resource, address, lease)
    }

    /// What happened lately, the latest first.
    pub fn recent(&self) -> impl Iterator<Item = &Event> {
        self.recent.iter()
    }

    /// Takes note that an operator has revoked leases of an address, of a user, or all.
    pub fn note_revocation(&mut self, operator: u32, whose: &str) {
        let name = operator_name(operator);
        self.recent.note(&name, "revoked", "leases", whose.to_owned());
    }
}

/// As the log calls a user of this machine.
#[must_use]
pub fn operator_name(user: u32) -> String {
    format!("operator (uid {user})")
}
