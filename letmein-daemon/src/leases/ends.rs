//! What ends when: which leases or grants may still live, and which are over.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Bound, RangeInclusive},
};

/// How long after its end a lease may be forgotten: the kernel counts in ticks of up to 10 ms, so it lives a little
/// longer there.
const GRACE: u64 = 50_000_000;

/// Ends by key, and in the order in which they come. Times are nanoseconds of `CLOCK_MONOTONIC`.
pub(super) struct Ends<Key> {
    by_key: BTreeMap<Key, u64>,
    in_order: BTreeSet<(u64, Key)>,
}

impl<Key> Default for Ends<Key> {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            in_order: BTreeSet::new(),
        }
    }
}

impl<Key: Copy + Ord> Ends<Key> {
    /// Notes an end, instead of the one noted before. Returns whether there was none.
    pub fn set(&mut self, key: Key, end: u64) -> bool {
        let before = self.by_key.insert(key, end);
        if let Some(before) = before {
            self.in_order.remove(&(before, key));
        }
        self.in_order.insert((end, key));
        before.is_none()
    }

    /// Returns whether it was there.
    pub fn remove(&mut self, key: &Key) -> bool {
        let end = self.by_key.remove(key);
        if let Some(end) = end {
            self.in_order.remove(&(end, *key));
        }
        end.is_some()
    }

    /// Removes what ended first, if it is over.
    pub fn pop_ended(&mut self, now: u64) -> Option<Key> {
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

    pub fn contains(&self, key: &Key) -> bool {
        self.by_key.contains_key(key)
    }

    /// Those that end behind this place in the order, from the beginning without one.
    pub fn behind(&self, place: Option<(u64, Key)>) -> impl Iterator<Item = (u64, Key)> {
        let from = place.map_or(Bound::Unbounded, Bound::Excluded);
        self.in_order.range((from, Bound::Unbounded)).copied()
    }

    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// All, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (Key, u64)> {
        self.by_key.iter().map(|(key, end)| (*key, *end))
    }

    /// Those with keys in this range.
    pub fn within(&self, keys: RangeInclusive<Key>) -> impl Iterator<Item = (Key, u64)> {
        self.by_key.range(keys).map(|(key, end)| (*key, *end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_comes_out_in_order_and_what_lives_does_not() {
        let mut ends = Ends::default();
        for (key, end) in [(1, 30), (2, 10), (3, 20), (4, 99)] {
            ends.set(key, end);
        }
        assert_eq!(ends.pop_ended(GRACE + 9), None);
        assert_eq!(ends.next(), Some(GRACE + 10));
        let now = GRACE + 30;
        let popped: Vec<_> = std::iter::from_fn(|| ends.pop_ended(now)).collect();
        assert_eq!(popped, [2, 3, 1]);
        assert_eq!(ends.iter().collect::<Vec<_>>(), [(4, 99)]);
    }

    #[test]
    fn a_new_end_replaces_the_old_one() {
        let mut ends = Ends::default();
        assert!(ends.set(1, 10));
        assert!(!ends.set(1, 50));
        assert_eq!(ends.pop_ended(GRACE + 49), None);
        assert!(ends.contains(&1));
        ends.set(1, 5);
        assert_eq!(ends.pop_ended(GRACE + 5), Some(1));
        assert_eq!(ends.pop_ended(u64::MAX), None);
        assert_eq!((ends.len(), ends.in_order.len()), (0, 0));
    }

    #[test]
    fn pages_follow_each_other_whatever_ends_meanwhile() {
        let mut ends = Ends::default();
        for key in 1..=5 {
            ends.set(key, 10 * key);
        }
        let first: Vec<_> = ends.behind(None).take(2).collect();
        assert_eq!(first, [(10, 1), (20, 2)]);
        assert!(ends.remove(&2) && ends.remove(&4) && !ends.remove(&4));
        let rest: Vec<_> = ends.behind(Some((20, 2))).collect();
        assert_eq!(rest, [(30, 3), (50, 5)]);
    }

    #[test]
    fn a_range_of_keys_is_found() {
        let mut ends = Ends::default();
        for key in [(1, 1), (2, 0), (2, 7), (3, 0)] {
            ends.set(key, 10);
        }
        let found: Vec<_> = ends.within((2, 0)..=(2, u32::MAX)).map(|(key, _)| key).collect();
        assert_eq!(found, [(2, 0), (2, 7)]);
    }
}
