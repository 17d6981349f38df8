//! Ending leases, or shortening them, because of what the clocks say.

use super::{Grant, LeaseError, Leases, Living, Opener, SHORTEST, after};
use crate::{clock, firewall::LeaseKey};
use letmein_common::UserId;
use std::time::Duration;

impl Leases {
    /// Shortens all grants of these leases by this long. Returns how many of the leases that closes.
    pub fn shorten(&mut self, keys: &[LeaseKey], by: Duration) -> Result<usize, LeaseError> {
        let now = clock::monotonic();
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let soonest = after(now, SHORTEST);
        let (mut closed, mut over, mut shorter) = (0, Vec::new(), Vec::new());
        for key in keys {
            let Some(end) = self.grants.end(key) else {
                continue;
            };
            if end.saturating_sub(by) < soonest {
                closed += 1;
                let openers = self.grants.of(key).map(|(opener, _)| opener);
                over.extend(openers.map(|opener| Grant { key: *key, opener }));
            } else {
                shorter.push((*key, end.saturating_sub(by)));
            }
        }
        self.revoke(&over)?;
        for (key, end) in shorter {
            // What closes is closed in the shield first.
            self.admit_until(&key, end);
            let grants: Vec<_> = self.grants.of(&key).collect();
            for (opener, end) in grants {
                self.grants.set(Grant { key, opener }, end.saturating_sub(by));
            }
            if self.firewall.cuts(&key) {
                self.cuts.set(key, end);
            }
            if let Some(lease) = self.grants.lease(&key, now) {
                self.firewall.put(&[lease])?;
            }
        }
        Ok(closed)
    }

    /// Ends the grants on this page that are of these users; `None` stands for whoever is no user. Returns how many that
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
