//! Leases from one run, or one configuration, to the next.

use super::{
    Grant, LeaseError, Leases, Opener, ROUNDING, SHORTEST, after, allowed::Allowed, cuts::Cuts,
    grants::Grants, others::living, recent::Recent, shares::Shares,
};
use crate::{
    clock,
    config::Config,
    firewall::{Firewall, Lease, LeaseKey},
};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use tracing::info;

/// Leases that are written in one transaction.
const TOGETHER: usize = 512;

/// Grants that live, and are not allowed to, or not for that long.
#[derive(Default)]
pub struct Settlement {
    /// How many are not allowed.
    grants: usize,
    /// Leases that no other grant keeps open.
    over: Vec<LeaseKey>,
    /// Leases that live on by what is allowed.
    less: Vec<LeaseKey>,
}

impl Leases {
    /// Takes over the leases of an earlier run, those that the configuration still allows: of a resource that there is, and
    /// opened by a user who still may. None is for longer than it could be opened for now.
    pub fn take_over(firewall: Firewall, config: &Config) -> Result<Self, LeaseError> {
        Self::take_over_known(firewall, config, None)
    }

    /// The same, if it is known which leases there may be: where they are very many, reading them takes long.
    pub fn take_over_known(
        firewall: Firewall,
        config: &Config,
        known: Option<Vec<LeaseKey>>,
    ) -> Result<Self, LeaseError> {
        let (mut leases, settlement) = Self::survey(firewall, config, known, None)?;
        leases.settle(&settlement)?;
        let kept = leases.count();
        if kept > 0 {
            info!(
                event = "leases-kept",
                leases = kept,
                "{kept} leases of an earlier run go on"
            );
        }
        Ok(leases)
    }

    /// The same, but what the configuration does not allow lives on until that is [settled](Self::settle). `before` are
    /// these very leases as they were known until now: they may have more grants than the kernel's record has room for.
    pub fn survey(
        mut firewall: Firewall,
        config: &Config,
        known: Option<Vec<LeaseKey>>,
        before: Option<&Self>,
    ) -> Result<(Self, Settlement), LeaseError> {
        firewall.close_strays(known.as_deref())?;
        let found = match known {
            Some(keys) => firewall.look_up(&keys)?,
            None => firewall.leases()?,
        };
        let now = clock::monotonic();
        let shares = Shares::new(config.firewall.max_leases, config.users().count());
        let mut leases = Self {
            firewall,
            shield: None,
            grants: Grants::new(shares),
            cuts: Cuts::default(),
            recent: Recent::default(),
            broken: false,
            collected_at: 0,
        };
        let allowed = Allowed::by(config);
        let mut settlement = Settlement::default();
        for lease in found {
            let key = lease.key;
            let plans = leases.firewall.plans(&key);
            let mut less = false;
            for (opener, remaining) in all_grants(&lease, before, now) {
                let Some(limit) = allowed.limit(&key, opener).filter(|_| plans) else {
                    settlement.grants += 1;
                    less = true;
                    continue;
                };
                less |= remaining > limit;
                let end = after(now, remaining.min(limit) + ROUNDING);
                leases.grants.set(Grant { key, opener }, end);
            }
            match leases.grants.end(&key) {
                None => settlement.over.push(key),
                Some(end) => {
                    if less {
                        settlement.less.push(key);
                    }
                    if leases.firewall.cuts(&key) {
                        leases.cuts.set(key, end);
                    }
                }
            }
        }
        Ok((leases, settlement))
    }

    /// Ends what is not allowed, and connections with it where `cut` asks for that.
    pub fn settle(&mut self, settlement: &Settlement) -> Result<(), LeaseError> {
        let now = clock::monotonic();
        let less = settlement.less.iter();
        let less = less.filter_map(|key| self.grants.lease(key, now));
        let less: Vec<_> = less.filter(|lease| lease.remaining >= SHORTEST).collect();
        for lease in less.chunks(TOGETHER) {
            self.firewall.put(lease)?;
        }
        self.firewall.close(&settlement.over)?;
        if settlement.grants > 0 {
            info!(
                event = "leases-closed",
                leases = settlement.grants,
                "closed {} leases that are no longer allowed",
                settlement.grants
            );
        }
        for key in settlement.over.iter().filter(|key| self.firewall.cuts(key)) {
            self.cuts.set(*key, clock::monotonic());
        }
        Ok(())
    }

    /// Puts back rules and leases, after others were installed that do not count in the end.
    pub fn reinstate(&mut self) -> Result<(), LeaseError> {
        /// Leases in one transaction.
        const AT_ONCE: usize = 4096;
        /// What is shorter by more than this was shortened.
        const TOLERANCE: Duration = Duration::from_secs(1);
        self.repair()?;
        for keys in self.keys().chunks(AT_ONCE) {
            let there = self.firewall.look_up(keys)?;
            let there: HashMap<_, _> = there.iter().map(|lease| (lease.key, lease)).collect();
            let (mut missing, mut changed) = (Vec::new(), Vec::new());
            for lease in living(&self.grants, keys) {
                match there.get(&lease.key) {
                    None => missing.push(lease.key),
                    Some(now)
                        if now.remaining + TOLERANCE < lease.remaining || !same_holders(now, &lease) =>
                    {
                        changed.push(lease);
                    }
                    Some(_) => {}
                }
            }
            self.restore(&missing)?;
            changed.retain(|lease| lease.remaining >= SHORTEST);
            for leases in changed.chunks(TOGETHER) {
                self.firewall.put(leases)?;
            }
        }
        self.all_restored();
        Ok(())
    }
}

/// Whether the grants are of the same users.
fn same_holders(one: &Lease, other: &Lease) -> bool {
    let of = |lease: &Lease| -> BTreeSet<_> { lease.grants().map(|(opener, _)| opener).collect() };
    of(one) == of(other)
}

/// The grants that the kernel has a record of, and those that it had no room for.
fn all_grants(lease: &Lease, before: Option<&Leases>, now: u64) -> Vec<(Opener, Duration)> {
    let mut grants: Vec<(Opener, Duration)> = lease.grants().collect();
    let known = before.and_then(|before| before.grants.lease(&lease.key, now));
    for (opener, remaining) in known.iter().flat_map(Lease::grants) {
        if !grants.iter().any(|(other, _)| *other == opener) {
            grants.push((opener, remaining.min(lease.remaining)));
        }
    }
    grants
}
