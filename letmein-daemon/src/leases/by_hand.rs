//! What an operator sees of leases, and does to them.

use super::{Event, LeaseError, Leases, Opener};
use crate::{clock, config::Resource, firewall::LeaseKey};
use std::{net::IpAddr, time::Duration};

/// A lease, and its place in the order in which leases end.
#[derive(Clone, Copy, Debug)]
pub struct Living {
    /// Its end, in nanoseconds of `CLOCK_MONOTONIC`.
    pub end: u64,
    /// Who, and where to.
    pub key: LeaseKey,
    /// Who has opened it.
    pub opener: Opener,
}

impl Leases {
    /// How many leases there are, those included that have ended in the last second.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// `firewall.max-leases`.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// The next leases that live, in the order in which they end: from the beginning, or behind this one.
    #[must_use]
    pub fn page(&self, behind: Option<&Living>, most: usize) -> Vec<Living> {
        let now = clock::monotonic();
        // Whatever ended meanwhile is passed over by the way.
        let place = behind.map(|last| (last.end, last.key));
        let living = self.ends.behind(place).filter(|(end, _, _)| *end > now);
        let living = living.map(|(end, key, opener)| Living { end, key, opener });
        living.take(most).collect()
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

    /// Closes these leases, and ends the connections of those with `cut`. Returns how many of each.
    pub fn revoke(&mut self, keys: &[LeaseKey]) -> Result<(usize, usize), LeaseError> {
        self.shut_out(keys);
        let closed = self.firewall.close(keys)?;
        for key in keys {
            self.ends.remove(key);
            self.cuts.remove(key);
        }
        let cut: Vec<_> = keys
            .iter()
            .filter(|key| self.firewall.cuts(key))
            .copied()
            .collect();
        if cut.is_empty() {
            return Ok((closed, 0));
        }
        let ended = self.firewall.cut(&cut).inspect_err(|_| {
            // To be tried again soon.
            let now = clock::monotonic();
            for key in &cut {
                self.cuts.set(*key, now);
            }
        })?;
        Ok((closed, ended))
    }
}

/// As the log calls a user of this machine.
fn operator_name(user: u32) -> String {
    format!("operator (uid {user})")
}
