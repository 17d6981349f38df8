//! Grants: what each user, and each operator, has opened. A lease lives as long as the longest of its grants, and nobody
//! but its holder (or an operator) shortens a grant or ends it.

use super::{Opener, ends::Ends, shares::Shares};
use crate::firewall::{Lease, LeaseKey};
use std::{cmp::Reverse, iter, time::Duration};

/// One opener's part in a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Who may come in, and where to.
    pub key: LeaseKey,
    /// Who has opened that.
    pub opener: Opener,
}

/// All grants, each with its end in nanoseconds of `CLOCK_MONOTONIC`.
pub(super) struct Grants {
    ends: Ends<Grant>,
    shares: Shares,
}

impl Grants {
    /// None yet, and who may have how many.
    pub fn new(shares: Shares) -> Self {
        Self {
            ends: Ends::default(),
            shares,
        }
    }

    /// Notes when a grant ends, instead of what was noted before.
    pub fn set(&mut self, grant: Grant, end: u64) {
        if self.ends.set(grant, end) {
            self.shares.add(grant.opener);
        }
    }

    /// Returns whether it was there.
    pub fn remove(&mut self, grant: &Grant) -> bool {
        let known = self.ends.remove(grant);
        if known {
            self.shares.remove(grant.opener);
        }
        known
    }

    /// Removes all grants of a lease, and returns whether there were any.
    pub fn remove_all(&mut self, key: &LeaseKey) -> bool {
        let openers: Vec<_> = self.of(key).map(|(opener, _)| opener).collect();
        for opener in &openers {
            self.remove(&Grant {
                key: *key,
                opener: *opener,
            });
        }
        !openers.is_empty()
    }

    /// Removes the grant that ended first, if it is over.
    pub fn pop_ended(&mut self, now: u64) -> Option<Grant> {
        let grant = self.ends.pop_ended(now)?;
        self.shares.remove(grant.opener);
        Some(grant)
    }

    pub fn contains(&self, grant: &Grant) -> bool {
        self.ends.contains(grant)
    }

    /// Who holds grants of this lease, and until when.
    pub fn of(&self, key: &LeaseKey) -> impl Iterator<Item = (Opener, u64)> {
        let grant = |opener| Grant { key: *key, opener };
        let all = grant(Opener::Unknown)..=grant(Opener::Operator(u32::MAX));
        self.ends.within(all).map(|(grant, end)| (grant.opener, end))
    }

    /// When the lease ends: as the last of its grants does.
    pub fn end(&self, key: &LeaseKey) -> Option<u64> {
        self.of(key).map(|(_, end)| end).max()
    }

    /// The lease with the grants of it that live; `None` if it is over.
    pub fn lease(&self, key: &LeaseKey, now: u64) -> Option<Lease> {
        lease(*key, self.of(key).collect(), now)
    }

    /// The lease as it is without these openers' grants, and with this one instead, which ends then.
    pub fn lease_with(
        &self,
        key: &LeaseKey,
        without: &[Opener],
        with: Option<(Opener, u64)>,
        now: u64,
    ) -> Option<Lease> {
        let others = self.of(key).filter(|(opener, _)| !without.contains(opener));
        lease(*key, others.chain(with).collect(), now)
    }

    /// All leases with their ends, in the order of their keys.
    pub fn leases(&self) -> impl Iterator<Item = (LeaseKey, u64)> {
        let mut grants = self.ends.iter().peekable();
        iter::from_fn(move || {
            let (Grant { key, .. }, mut end) = grants.next()?;
            while let Some((_, other)) = grants.next_if(|(grant, _)| grant.key == key) {
                end = end.max(other);
            }
            Some((key, end))
        })
    }

    /// Those that end behind this place in the order, from the beginning without one.
    pub fn behind(&self, place: Option<(u64, Grant)>) -> impl Iterator<Item = (u64, Grant)> {
        self.ends.behind(place)
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub const fn shares(&self) -> &Shares {
        &self.shares
    }
}

/// Of those grants that live, the longest first.
fn lease(key: LeaseKey, mut grants: Vec<(Opener, u64)>, now: u64) -> Option<Lease> {
    grants.retain(|(_, end)| *end > now);
    grants.sort_unstable_by_key(|(opener, end)| (Reverse(*end), *opener));
    let (&(opener, end), others) = grants.split_first()?;
    let sooner = |(opener, sooner): &(Opener, u64)| (*opener, Duration::from_nanos(end - sooner));
    Some(Lease {
        key,
        remaining: Duration::from_nanos(end - now),
        opener,
        others: others.iter().map(sooner).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::Protocol;
    use letmein_common::UserId;

    const ALICE: Opener = Opener::User(UserId(1));
    const BOB: Opener = Opener::User(UserId(2));
    const ROOT: Opener = Opener::Operator(0);

    fn key(last: u8) -> LeaseKey {
        LeaseKey::new([192, 0, 2, last].into(), Protocol::Tcp, 22)
    }

    fn grants(all: &[(u8, Opener, u64)]) -> Grants {
        let mut grants = Grants::new(Shares::new(100, 2));
        for (last, opener, end) in all {
            let (key, opener) = (key(*last), *opener);
            grants.set(Grant { key, opener }, *end);
        }
        grants
    }

    #[test]
    fn a_lease_ends_with_the_last_of_its_grants() {
        let mut grants = grants(&[(1, ALICE, 50), (1, BOB, 90), (1, ROOT, 70), (2, ALICE, 99)]);
        let lease = grants.lease(&key(1), 60).unwrap();
        assert_eq!((lease.opener, lease.remaining), (BOB, Duration::from_nanos(30)));
        assert_eq!(lease.others, [(ROOT, Duration::from_nanos(20))]);
        assert_eq!(grants.leases().collect::<Vec<_>>(), [(key(1), 90), (key(2), 99)]);
        let bobs = Grant {
            key: key(1),
            opener: BOB,
        };
        assert!(grants.remove(&bobs) && !grants.remove(&bobs));
        assert_eq!(grants.end(&key(1)), Some(70));
        assert_eq!(grants.lease(&key(1), 70), None);
        assert!(grants.remove_all(&key(1)) && !grants.remove_all(&key(1)));
        assert_eq!((grants.end(&key(1)), grants.len()), (None, 1));
    }

    #[test]
    fn a_new_grant_changes_no_other() {
        let grants = grants(&[(1, ALICE, 50), (1, BOB, 90)]);
        let shorter = grants
            .lease_with(&key(1), &[ALICE], Some((ALICE, 20)), 10)
            .unwrap();
        assert_eq!(
            (shorter.opener, shorter.remaining),
            (BOB, Duration::from_nanos(80))
        );
        assert_eq!(shorter.others, [(ALICE, Duration::from_nanos(70))]);
        let without = grants.lease_with(&key(1), &[BOB], None, 10).unwrap();
        assert_eq!((without.opener, without.others.len()), (ALICE, 0));
        assert_eq!(grants.lease_with(&key(1), &[ALICE, BOB], None, 10), None);
    }
}
