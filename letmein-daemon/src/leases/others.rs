//! What somebody else does to rules and leases, and what is put back of it.

use super::{LeaseError, Leases, Opener, ROUNDING, after, ends::Ends};
use crate::{
    clock,
    firewall::{Changes, Lease, LeaseKey},
};
use std::{collections::HashSet, time::Duration};
use tracing::warn;

impl Leases {
    /// Takes note of leases that somebody else has added or deleted. Returns how many were deleted.
    pub fn note(&mut self, changes: &Changes) -> usize {
        let now = clock::monotonic();
        for lease in &changes.added {
            if !self.firewall.plans(&lease.key) {
                continue;
            }
            let end = after(now, lease.remaining + ROUNDING);
            self.ends.set(lease.key, end, lease.opener);
            if self.firewall.cuts(&lease.key) {
                self.cuts.set(lease.key, end);
            }
            if let Some(shield) = &mut self.shield
                && let Err(error) = shield.admit(&lease.key, end)
            {
                let error = anyhow::Error::from(error);
                warn!(
                    "the shield does not learn of {}, whom somebody has let in: {error:#}",
                    lease.key
                );
            }
        }
        changes.removed.iter().filter(|key| self.forget(key)).count()
    }

    /// Whether the rules are as they should be, and no set lacks leases.
    pub fn are_intact(&mut self) -> Result<bool, LeaseError> {
        Ok(!self.firewall.lacks_any() && self.firewall.is_intact()?)
    }

    /// Puts the rules back.
    pub fn repair(&mut self) -> Result<(), LeaseError> {
        self.broken = true;
        let Self { firewall, ends, .. } = self;
        firewall.repair(|| living(ends, ends.iter().map(|(key, _)| key)))?;
        self.broken = false;
        Ok(())
    }

    /// The leases of the sets that were made anew.
    #[must_use]
    pub fn lost(&self) -> Vec<LeaseKey> {
        let keys = self.keys().into_iter();
        keys.filter(|key| self.firewall.lacks(key)).collect()
    }

    /// Puts these leases back, unless they have ended or were revoked meanwhile. Returns how many that are.
    pub fn restore(&mut self, keys: &[LeaseKey]) -> Result<usize, LeaseError> {
        let leases = living(&self.ends, keys.iter());
        Ok(self.firewall.restore(&leases)?)
    }

    /// All that was lost is back.
    pub fn all_restored(&mut self) {
        self.firewall.all_restored();
    }

    /// All leases that live.
    #[must_use]
    pub fn keys(&self) -> Vec<LeaseKey> {
        let now = clock::monotonic();
        let living = self.ends.iter().filter(|(_, end)| *end > now);
        living.map(|(key, _)| *key).collect()
    }

    /// Forgets those of these leases that are not in the kernel. Returns how many that are, without those that have
    /// ended by now.
    pub fn forget_missing(&mut self, keys: &[LeaseKey]) -> Result<usize, LeaseError> {
        let living: HashSet<_> = self
            .firewall
            .look_up(keys)?
            .iter()
            .map(|lease| lease.key)
            .collect();
        let now = clock::monotonic();
        let missing = keys.iter().filter(|key| {
            let lives = self.ends.end(key).is_some_and(|end| end > now);
            lives && !living.contains(key) && !self.firewall.lacks(key)
        });
        let missing: Vec<_> = missing.copied().collect();
        Ok(missing.iter().filter(|key| self.forget(key)).count())
    }

    fn forget(&mut self, key: &LeaseKey) -> bool {
        let known = self.ends.contains(key);
        self.shut_out(&[*key]);
        self.ends.remove(key);
        if known && self.firewall.cuts(key) {
            // Revoked, so its connections end as well: as soon as the kernel confirms that it is gone.
            self.cuts.set(*key, clock::monotonic());
        }
        known
    }
}

/// Those of these leases that live, and how long still.
pub(super) fn living<'a>(ends: &Ends<Opener>, keys: impl Iterator<Item = &'a LeaseKey>) -> Vec<Lease> {
    let now = clock::monotonic();
    let lease = |key: &LeaseKey| {
        let (end, opener) = ends.get(key)?;
        let left = end.checked_sub(now)?;
        Some(Lease {
            key: *key,
            remaining: Duration::from_nanos(left),
            opener,
        })
    };
    keys.filter_map(lease).collect()
}
