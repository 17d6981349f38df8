//! When leases end: which of them may still live, and which are over.

use crate::firewall::LeaseKey;
use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
};

/// How long after its end a lease may be forgotten: the kernel counts in ticks of up to 10 ms, so it lives a little
/// longer there.
const GRACE: u64 = 50_000_000;

/// Leases by key, each with a note, and in the order in which they end. Times are nanoseconds of `CLOCK_MONOTONIC`.
pub(super) struct Ends<Note = ()> {
    by_key: HashMap<LeaseKey, (u64, Note)>,
    in_order: BTreeSet<(u64, LeaseKey)>,
}

impl<Note> Default for Ends<Note> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            in_order: BTreeSet::new(),
        }
    }
}

impl<Note: Copy> Ends<Note> {
    /// Notes when a lease ends, instead of what was noted before.
    pub fn set(&mut self, key: LeaseKey, end: u64, note: Note) {
        self.remove(&key);
        self.by_key.insert(key, (end, note));
        self.in_order.insert((end, key));
    }

    pub fn remove(&mut self, key: &LeaseKey) {
        if let Some((end, _)) = self.by_key.remove(key) {
            self.in_order.remove(&(end, *key));
        }
    }

    /// Removes the lease that ended first, if it is over.
    pub fn pop_ended(&mut self, now: u64) -> Option<LeaseKey> {
        let (end, key) = *self.in_order.first()?;
        if end.saturating_add(GRACE) > now {
            return None;
        }
        self.remove(&key);
        Some(key)
    }

    /// When the next one is over.
    pub fn next(&self) -> Option<u64> {
        self.in_order.first().map(|(end, _)| end.saturating_add(GRACE))
    }

    pub fn contains(&self, key: &LeaseKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// When it ends, if it is known.
    pub fn end(&self, key: &LeaseKey) -> Option<u64> {
        self.by_key.get(key).map(|(end, _)| *end)
    }

    /// When it ends, and the note, if it is known.
    pub fn get(&self, key: &LeaseKey) -> Option<(u64, Note)> {
        self.by_key.get(key).copied()
    }

    /// Those that end behind this place in the order, from the beginning without one.
    pub fn behind(&self, place: Option<(u64, LeaseKey)>) -> impl Iterator<Item = (u64, LeaseKey, Note)> {
        let from = place.map_or(Bound::Unbounded, Bound::Excluded);
        let in_order = self.in_order.range((from, Bound::Unbounded));
        in_order.filter_map(|(end, key)| Some((*end, *key, self.by_key.get(key)?.1)))
    }

    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&LeaseKey, u64)> {
        self.by_key.iter().map(|(key, (end, _))| (key, *end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::Protocol;

    fn key(last: u8) -> LeaseKey {
        LeaseKey::new([192, 0, 2, last].into(), Protocol::Tcp, 22)
    }

    #[test]
    fn what_ended_comes_out_in_order_and_what_lives_does_not() {
        let mut ends = Ends::default();
        for (last, end) in [(1, 30), (2, 10), (3, 20), (4, 99)] {
            ends.set(key(last), end, ());
        }
        assert_eq!(ends.pop_ended(GRACE + 9), None);
        assert_eq!(ends.next(), Some(GRACE + 10));
        let now = GRACE + 30;
        let popped: Vec<_> = std::iter::from_fn(|| ends.pop_ended(now)).collect();
        assert_eq!(popped, [key(2), key(3), key(1)]);
        assert_eq!(ends.iter().collect::<Vec<_>>(), [(&key(4), 99)]);
    }

    #[test]
    fn a_new_end_replaces_the_old_one() {
        let mut ends = Ends::default();
        ends.set(key(1), 10, ());
        ends.set(key(1), 50, ());
        assert_eq!(ends.pop_ended(GRACE + 49), None);
        assert!(ends.contains(&key(1)));
        ends.set(key(1), 5, ());
        assert_eq!(ends.pop_ended(GRACE + 5), Some(key(1)));
        assert_eq!(ends.pop_ended(u64::MAX), None);
        assert_eq!((ends.len(), ends.in_order.len()), (0, 0));
    }

    #[test]
    fn pages_follow_each_other_whatever_ends_meanwhile() {
        let mut ends = Ends::default();
        for last in 1..=5 {
            ends.set(key(last), 10 * u64::from(last), last);
        }
        let first: Vec<_> = ends.behind(None).take(2).collect();
        assert_eq!(first, [(10, key(1), 1), (20, key(2), 2)]);
        ends.remove(&key(2));
        ends.remove(&key(4));
        let rest: Vec<_> = ends.behind(Some((20, key(2)))).collect();
        assert_eq!(rest, [(30, key(3), 3), (50, key(5), 5)]);
    }
}
