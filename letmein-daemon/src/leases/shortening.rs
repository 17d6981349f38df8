//! Ending leases, or shortening them, because of what the clocks say.

use super::{Grant, LeaseError, Leases, Living, Opener, SHORTEST, after};
use crate::{clock, firewall::LeaseKey};
use letmein_common::UserId;
use std::{collections::BTreeSet, time::Duration};

impl Leases {
    /// Shortens all grants of these leases by this long. Returns how many of the leases that closes.
    pub fn shorten(&mut self, keys: &[LeaseKey], by: Duration) -> Result<usize, LeaseError> {
        self.forget_deleted(keys.to_vec())?;
        let now = clock::monotonic();
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let soonest = after(now, SHORTEST);
        let (mut over, mut shorter) = (Vec::new(), BTreeSet::new());
        for key in keys {
            let grants: Vec<_> = self.grants.of(key).collect();
            for (opener, end) in grants {
                let grant = Grant { key: *key, opener };
                let end = end.saturating_sub(by);
                if end < soonest {
                    over.push(grant);
                } else {
                    self.grants.set(grant, end);
                    shorter.insert(*key);
                }
            }
        }
        let closed: BTreeSet<_> = over.iter().map(|grant: &Grant| grant.key).collect();
        let closed = closed.difference(&shorter).count();
        // This writes what is left of leases of which some grants end.
        self.revoke(&over)?;
        let leases = shorter.iter().filter_map(|key| self.grants.lease(key, now));
        let leases: Vec<_> = leases.collect();
        for lease in &leases {
            let end = after(now, lease.remaining);
            // What closes is closed in the shield first.
            self.admit_until(&lease.key, end);
            if self.firewall.cuts(&lease.key) {
                self.cuts.set(lease.key, end);
            }
        }
        self.put(&leases)?;
        Ok(closed)
    }

    /// Ends the grants on this page that these users hold; `None` stands for whoever is no user. Returns how many that
    /// are.
    pub fn close_of(
        &mut self,
        page: &[Living],
        whose: impl Fn(Option<UserId>) -> bool,
    ) -> Result<usize, LeaseError> {
        let user = |opener: Opener| match opener {
            Opener::User(user) => Some(user),
            Opener::Operator(_) | Opener::Unknown => None,
        };
        let grants = page.iter().map(|living| living.grant);
        let grants: Vec<_> = grants.filter(|grant| whose(user(grant.opener))).collect();
        if grants.is_empty() {
            return Ok(0);
        }
        Ok(self.revoke(&grants)?.grants.len())
    }
}
