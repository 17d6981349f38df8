//! The leases that live, as the daemon remembers them: for the limit, and to put them back when somebody takes them
//! away.
//!
//! No operation walks over all of them, or rather: on the average none does. A queue has every end that a lease
//! ever got, the earliest first; ends that were prolonged or revoked since are passed over, and thrown out when
//! they are the most.

use crate::firewall::{Lease, LeaseKey};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::{Duration, Instant},
};

/// Ends that are no longer true and may stay in the queue, besides as many as there are leases.
const SLACK: usize = 1024;

/// Leases and their ends.
pub struct Mirror {
    /// Ends are counted from here, in milliseconds: half the memory of an `Instant`.
    start: Instant,
    ends: HashMap<LeaseKey, u64>,
    queue: BinaryHeap<Reverse<(u64, LeaseKey)>>,
}

impl Mirror {
    /// None yet.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            ends: HashMap::new(),
            queue: BinaryHeap::new(),
        }
    }

    /// Leases, also those whose end has come since somebody asked.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it is among them.
    pub fn contains(&self, key: &LeaseKey) -> bool {
        self.ends.contains_key(key)
    }

    /// A lease that lives this long from now on, be it a new one or not.
    pub fn insert(&mut self, key: LeaseKey, now: Instant, remaining: Duration) {
        let end = self.count(now + remaining);
        if self.ends.insert(key, end) != Some(end) {
            self.queue.push(Reverse((end, key)));
        }
        if self.queue.len() > 2 * self.ends.len() + SLACK {
            self.queue = self.ends.iter().map(|(key, end)| Reverse((*end, *key))).collect();
        }
    }

    /// A lease that is closed.
    pub fn remove(&mut self, key: &LeaseKey) -> bool {
        self.ends.remove(key).is_some()
    }

    /// Forgets those whose end has come.
    pub fn expire(&mut self, now: Instant) {
        let now = self.count(now);
        while let Some(Reverse((end, key))) = self.queue.peek().copied() {
            if end > now {
                return;
            }
            self.queue.pop();
            if self.ends.get(&key) == Some(&end) {
                self.ends.remove(&key);
            }
        }
    }

    /// The lease, if it lives.
    pub fn lease(&self, key: LeaseKey, now: Instant) -> Option<Lease> {
        let left = self.ends.get(&key)?.checked_sub(self.count(now))?;
        let remaining = Duration::from_millis(left);
        Some(Lease { key, remaining })
    }

    /// All of them.
    pub fn keys(&self) -> impl Iterator<Item = LeaseKey> {
        self.ends.keys().copied()
    }

    fn count(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::Protocol;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(port: u16) -> LeaseKey {
        LeaseKey::new([192, 0, 2, 1].into(), Protocol::Tcp, port)
    }

    #[test]
    fn what_is_over_is_forgotten_and_what_was_prolonged_is_not() {
        let mut mirror = Mirror::new();
        let now = Instant::now();
        for port in 1..=3 {
            mirror.insert(key(port), now, SECOND * u32::from(port));
        }
        mirror.insert(key(1), now, SECOND * 10);
        mirror.expire(now + SECOND * 2);
        assert_eq!(mirror.len(), 2);
        assert!(mirror.contains(&key(1)) && mirror.contains(&key(3)));
        // Shortened, and closed.
        mirror.insert(key(1), now, SECOND * 4);
        assert!(mirror.remove(&key(3)));
        mirror.expire(now + SECOND * 5);
        assert_eq!(mirror.len(), 0);
    }

    #[test]
    fn what_is_left_is_counted_from_now() {
        let mut mirror = Mirror::new();
        let now = Instant::now();
        mirror.insert(key(1), now, SECOND * 10);
        let left = mirror.lease(key(1), now + SECOND * 4).unwrap().remaining;
        assert!(left <= SECOND * 6 && left > SECOND * 5, "{left:?}");
        assert_eq!(mirror.lease(key(1), now + SECOND * 11), None);
    }

    /// Who knocks again and again for the same lease fills no memory.
    #[test]
    fn the_queue_has_a_bound() {
        let mut mirror = Mirror::new();
        let now = Instant::now();
        for round in 0..100_000 {
            mirror.insert(key(1), now, SECOND + Duration::from_millis(round));
            assert!(mirror.queue.len() <= SLACK + 2);
        }
        mirror.expire(now + SECOND * 100);
        assert_eq!(mirror.len(), 1);
        mirror.expire(now + SECOND * 102);
        assert_eq!(mirror.len(), 0);
    }
}
