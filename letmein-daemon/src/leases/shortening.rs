//! Ending leases, or shortening them, because of what the clocks say.

use super::{LeaseError, Leases, Living, Opener, after};
use crate::{clock, firewall::LeaseKey};
use letmein_common::UserId;
use std::time::Duration;
use tracing::warn;

/// The shortest lease that the kernel takes.
const SHORTEST: Duration = Duration::from_millis(100);

impl Leases {
    /// Shortens these leases by this long. Returns how many of them that closes.
    pub fn shorten(&mut self, keys: &[LeaseKey], by: Duration) -> Result<usize, LeaseError> {
        let now = clock::monotonic();
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let soonest = after(now, SHORTEST);
        let (mut over, mut shorter) = (Vec::new(), Vec::new());
        for key in keys {
            let Some((end, opener)) = self.ends.get(key) else {
                continue;
            };
            let end = end.saturating_sub(by);
            if end < soonest {
                over.push(*key);
            } else {
                shorter.push((*key, end, opener));
            }
        }
        self.revoke(&over)?;
        for (key, end, opener) in shorter {
            // What closes is closed in the shield first.
            if let Some(shield) = &mut self.shield
                && let Err(error) = shield.admit(&key, end)
            {
                let error = anyhow::Error::from(error);
                warn!("the shield does not learn when {key} ends: {error:#}");
            }
            self.ends.set(key, end, opener);
            if self.firewall.cuts(&key) {
                self.cuts.set(key, end);
            }
            let left = Duration::from_nanos(end.saturating_sub(now));
            self.firewall.open_for(&[key], left, opener)?;
        }
        Ok(over.len())
    }

    /// Closes the leases on this page that were opened by these users; `None` stands for whoever is no user. Returns how
    /// many that are.
    pub fn close_of(
        &mut self,
        page: &[Living],
        whose: impl Fn(Option<UserId>) -> bool,
    ) -> Result<usize, LeaseError> {
        let user = |opener: Opener| match opener {
            Opener::User(user) => Some(user),
            Opener::Operator(_) | Opener::Unknown => None,
        };
        let living = page.iter().filter(|living| whose(user(living.opener)));
        let keys: Vec<_> = living.map(|living| living.key).collect();
        if keys.is_empty() {
            return Ok(0);
        }
        Ok(self.revoke(&keys)?.0)
    }
}
