//! Sets of leases that are emptied and filled again in one transaction, so that no packet ever sees them empty.

use std::collections::BTreeSet;

use super::elements::{write_elements, write_set};
use super::lease::{Lease, LeaseKey};
use super::lease_set::LeaseSet;
use super::message::Request;
use super::{Firewall, FirewallError, TOGETHER, may_last};

/// The most leases that are written again to make room. The kernel needs some 3 µs for each.
const MOST: usize = 32_768;

impl Firewall {
    /// Makes these the only leases in the set, those of them that belong there.
    pub(super) fn fill(&mut self, set: LeaseSet, leases: &[Lease]) -> Result<(), FirewallError> {
        let Self {
            transport, layout, ..
        } = self;
        let name = layout.name(set);
        let mut leases = leases.to_vec();
        leases.retain(|lease| layout.set_of(&lease.key) == set && may_last(lease.remaining));
        let outcome = transport.transact(|transaction| {
            transaction.push(Request::Delete, |outbox| write_set(outbox, &layout.table, &name));
            for leases in leases.chunks(TOGETHER) {
                transaction.push(Request::New, |outbox| {
                    write_elements(outbox, &layout.table, &name, set, leases);
                });
            }
        });
        outcome.map_err(|refusal| self.lease_error(refusal.errno, "filling a lease set"))
    }

    /// Removes what has run out from the sets of these keys: to the kernel it takes up room until it is collected, and
    /// each transaction makes the collection start over. Nothing can delete a single element that has run out, so the
    /// sets are filled again with what lives, which `living` tells. Returns whether it was done: with more than
    /// 32768 living leases it would take too long.
    pub fn make_room(
        &mut self,
        keys: &[LeaseKey],
        living: impl FnOnce() -> Vec<Lease>,
    ) -> Result<bool, FirewallError> {
        let leases = living();
        if leases.len() > MOST {
            return Ok(false);
        }
        let sets: BTreeSet<_> = keys.iter().map(|key| self.layout.set_of(key)).collect();
        for set in sets {
            self.fill(set, &leases)?;
        }
        Ok(true)
    }
}
