//! Leases from one run, or one configuration, to the next.

use super::{
    LeaseError, Leases, Opener, ROUNDING, after, allowed::Allowed, cuts::Cuts, ends::Ends, others::living,
    recent::Recent,
};
use crate::{
    clock,
    config::Config,
    firewall::{Firewall, LeaseKey},
};
use std::{collections::HashMap, time::Duration};
use tracing::info;

/// Leases that live, and are not allowed to, or not for that long.
#[derive(Default)]
pub struct Settlement {
    over: Vec<LeaseKey>,
    shorter: Vec<(LeaseKey, Duration, Opener)>,
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
        let (mut leases, settlement) = Self::survey(firewall, config, known)?;
        leases.settle(&settlement)?;
        if leases.ends.len() > 0 {
            info!(
                event = "leases-kept",
                leases = leases.ends.len(),
                "{} leases of an earlier run go on",
                leases.ends.len()
            );
        }
        Ok(leases)
    }

    /// The same, but those that the configuration does not allow live on until that is [settled](Self::settle).
    pub fn survey(
        mut firewall: Firewall,
        config: &Config,
        known: Option<Vec<LeaseKey>>,
    ) -> Result<(Self, Settlement), LeaseError> {
        firewall.close_strays(known.as_deref())?;
        let found = match known {
            Some(keys) => firewall.look_up(&keys)?,
            None => firewall.leases()?,
        };
        let now = clock::monotonic();
        let mut leases = Self {
            firewall,
            shield: None,
            limit: config.firewall.max_leases,
            ends: Ends::default(),
            cuts: Cuts::default(),
            recent: Recent::default(),
            broken: false,
            collected_at: 0,
        };
        let allowed = Allowed::by(config);
        let mut settlement = Settlement::default();
        for mut lease in found {
            let limit = allowed.limit(&lease);
            let Some(limit) = limit.filter(|_| leases.firewall.plans(&lease.key)) else {
                settlement.over.push(lease.key);
                continue;
            };
            if lease.remaining > limit {
                settlement.shorter.push((lease.key, limit, lease.opener));
                lease.remaining = limit;
            }
            let end = after(now, lease.remaining + ROUNDING);
            leases.ends.set(lease.key, end, lease.opener);
            if leases.firewall.cuts(&lease.key) {
                leases.cuts.set(lease.key, end);
            }
        }
        Ok((leases, settlement))
    }

    /// Ends what is not allowed, and connections with it where `cut` asks for that.
    pub fn settle(&mut self, settlement: &Settlement) -> Result<(), LeaseError> {
        for (key, limit, opener) in &settlement.shorter {
            self.firewall.open_for(&[*key], *limit, *opener)?;
        }
        if settlement.over.is_empty() {
            return Ok(());
        }
        self.firewall.close(&settlement.over)?;
        info!(
            event = "leases-closed",
            leases = settlement.over.len(),
            "closed {} leases that are no longer allowed",
            settlement.over.len()
        );
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
            let there: HashMap<_, _> = there.iter().map(|lease| (lease.key, lease.remaining)).collect();
            let (mut missing, mut shorter) = (Vec::new(), Vec::new());
            for lease in living(&self.ends, keys.iter()) {
                match there.get(&lease.key) {
                    None => missing.push(lease.key),
                    Some(left) if *left + TOLERANCE < lease.remaining => shorter.push(lease),
                    Some(_) => {}
                }
            }
            self.restore(&missing)?;
            for lease in shorter {
                self.firewall
                    .open_for(&[lease.key], lease.remaining, lease.opener)?;
            }
        }
        self.all_restored();
        Ok(())
    }
}
