//! What somebody else does to rules and leases, and what is put back of it.

use super::{Grant, LeaseError, Leases, ROUNDING, after, grants::Grants};
use crate::{
    clock,
    firewall::{Changes, Lease, LeaseKey},
};
use std::collections::HashSet;
use tracing::warn;

impl Leases {
    /// Takes note of leases that somebody else has added or deleted. Returns how many were deleted.
    pub fn note(&mut self, changes: &Changes) -> usize {
        let now = clock::monotonic();
        for lease in &changes.added {
            if !self.firewall.plans(&lease.key) {
                continue;
            }
            let (key, end) = (lease.key, after(now, lease.remaining + ROUNDING));
            self.grants.remove_all(&key);
            for (opener, remaining) in lease.grants() {
                self.grants
                    .set(Grant { key, opener }, after(now, remaining + ROUNDING));
            }
            if self.firewall.cuts(&key) {
                self.cuts.set(key, end);
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
        let Self { firewall, grants, .. } = self;
        firewall.repair(|| living(grants, &all(grants)))?;
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
        let leases = living(&self.grants, keys);
        Ok(self.firewall.restore(&leases)?)
    }

    /// All that was lost is back.
    pub fn all_restored(&mut self) {
        self.firewall.all_restored();
    }

    /// All leases that live.
    #[must_use]
    pub fn keys(&self) -> Vec<LeaseKey> {
        all(&self.grants)
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
            let lives = self.grants.end(key).is_some_and(|end| end > now);
            lives && !living.contains(key) && !self.firewall.lacks(key)
        });
        let missing: Vec<_> = missing.copied().collect();
        Ok(missing.iter().filter(|key| self.forget(key)).count())
    }

    fn forget(&mut self, key: &LeaseKey) -> bool {
        self.shut_out(&[*key]);
        let known = self.grants.remove_all(key);
        if known && self.firewall.cuts(key) {
            // Revoked, so its connections end as well: as soon as the kernel confirms that it is gone.
            self.cuts.set(*key, clock::monotonic());
        }
        known
    }
}

/// The keys of all leases that live.
pub(super) fn all(grants: &Grants) -> Vec<LeaseKey> {
    let now = clock::monotonic();
    let living = grants.leases().filter(|(_, end)| *end > now);
    living.map(|(key, _)| key).collect()
}

/// Those of these leases that live.
pub(super) fn living(grants: &Grants, keys: &[LeaseKey]) -> Vec<Lease> {
    let now = clock::monotonic();
    keys.iter().filter_map(|key| grants.lease(key, now)).collect()
}
