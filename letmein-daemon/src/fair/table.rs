//! A table that users share.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
};

/// At most `capacity` entries, each of which belongs to somebody. When there are more, the owner of the most entries
/// loses the oldest of them.
///
/// So an entry makes way only if its owner has at least an equal share of the capacity: with *n* owners, somebody with
/// fewer than `capacity` / *n* entries loses none, whatever the others do. An owner alone may have all of it.
pub struct Table<O, K, V> {
    capacity: usize,
    next: u64,
    entries: HashMap<K, Entry<O, V>>,
    /// All keys, oldest first.
    ages: BTreeMap<u64, K>,
    /// The ages of each owner's entries.
    owned: HashMap<O, BTreeSet<u64>>,
    /// How many entries each owner has.
    counts: BTreeSet<(usize, O)>,
}

struct Entry<O, V> {
    owner: O,
    age: u64,
    value: V,
}

impl<O: Copy + Ord + Hash, K: Clone + Eq + Hash, V> Table<O, K, V> {
    /// An empty one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            next: 0,
            entries: HashMap::new(),
            ages: BTreeMap::new(),
            owned: HashMap::new(),
            counts: BTreeSet::new(),
        }
    }

    /// From now on there may be this many. Whatever is too much has to be [shed](Self::shed).
    pub fn change(&mut self, capacity: usize) {
        self.capacity = capacity.max(1);
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry with this key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The entry with this key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// The oldest entry of all.
    #[must_use]
    pub fn oldest(&self) -> Option<(&K, &V)> {
        let (_, key) = self.ages.first_key_value()?;
        self.entries.get(key).map(|entry| (key, &entry.value))
    }

    /// The most entries that one owner has, and who that is.
    #[must_use]
    pub fn largest(&self) -> Option<(usize, O)> {
        self.counts.last().copied()
    }

    /// Adds an entry, as the newest of all; an older one with the same key is replaced. Nothing makes way for it until
    /// the table is [shed](Self::shed).
    pub fn insert(&mut self, owner: O, key: K, value: V) {
        self.remove(&key);
        let age = self.next;
        self.next += 1;
        self.ages.insert(age, key.clone());
        self.count(owner, |ages| ages.insert(age));
        self.entries.insert(key, Entry { owner, age, value });
    }

    /// Takes out the entry that has to make way, if there are too many.
    pub fn shed(&mut self) -> Option<(K, V)> {
        (self.entries.len() > self.capacity)
            .then(|| self.take_from_largest())
            .flatten()
    }

    /// Takes out the oldest entry of the owner who has the most.
    pub fn take_from_largest(&mut self) -> Option<(K, V)> {
        let (_, owner) = self.counts.last()?;
        let age = self.owned.get(owner)?.first()?;
        let key = self.ages.get(age)?.clone();
        self.remove(&key).map(|value| (key, value))
    }

    /// Takes out the entry with this key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let Entry { owner, age, value } = self.entries.remove(key)?;
        self.ages.remove(&age);
        self.count(owner, |ages| ages.remove(&age));
        Some(value)
    }

    /// Takes out the entries whose keys are not kept.
    pub fn retain(&mut self, keeps: impl Fn(&K) -> bool) {
        let leaving: Vec<_> = self.entries.keys().filter(|key| !keeps(key)).cloned().collect();
        for key in &leaving {
            self.remove(key);
        }
    }

    /// Changes what is known of an owner's entries.
    fn count(&mut self, owner: O, change: impl FnOnce(&mut BTreeSet<u64>) -> bool) {
        let ages = self.owned.entry(owner).or_default();
        self.counts.remove(&(ages.len(), owner));
        change(ages);
        if ages.is_empty() {
            self.owned.remove(&owner);
        } else {
            self.counts.insert((ages.len(), owner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(table: &mut Table<char, u32, ()>, owner: char, key: u32) -> Option<u32> {
        table.insert(owner, key, ());
        let shed = table.shed().map(|(key, ())| key);
        assert!(table.shed().is_none());
        shed
    }

    #[test]
    fn an_owner_alone_may_have_all_and_loses_the_oldest() {
        let mut table = Table::new(3);
        for key in 0..3 {
            assert_eq!(insert(&mut table, 'm', key), None);
        }
        assert_eq!(insert(&mut table, 'm', 3), Some(0));
        assert_eq!((table.len(), table.oldest()), (3, Some((&1, &()))));
    }

    #[test]
    fn whoever_has_less_than_an_equal_share_loses_nothing() {
        for greedy in 1..7_u32 {
            let capacity = 24_u32;
            let mut table = Table::new(capacity as usize);
            let share = capacity.div_ceil(greedy + 1) - 1;
            let mine: Vec<_> = (0..share).collect();
            for key in &mine {
                insert(&mut table, 'a', *key);
            }
            for key in 100..1000 {
                let owner = char::from_digit(key % greedy, 10).unwrap();
                let shed = insert(&mut table, owner, key);
                assert!(shed.is_none_or(|key| key >= 100), "{shed:?} beside {greedy}");
            }
            assert!(mine.iter().all(|key| table.get(key).is_some()));
            // Nor is a newcomer turned away, who gets a place of those who have the most.
            assert!(insert(&mut table, 'n', 7777).is_some_and(|key| key >= 100));
            assert!(table.get(&7777).is_some());
        }
    }

    #[test]
    fn what_is_taken_out_is_gone_everywhere() {
        let mut table = Table::new(8);
        for key in 0..6 {
            table.insert(if key < 4 { 'm' } else { 'a' }, key, ());
        }
        assert_eq!(table.largest(), Some((4, 'm')));
        assert_eq!(table.remove(&0), Some(()));
        assert_eq!(table.remove(&0), None);
        table.retain(|key| *key != 1);
        assert_eq!((table.largest(), table.len()), (Some((2, 'm')), 4));
        // Replaced by its owner, and by somebody else.
        table.insert('m', 2, ());
        assert_eq!(table.oldest(), Some((&3, &())));
        table.insert('a', 3, ());
        assert_eq!(table.largest(), Some((3, 'a')));
        while table.take_from_largest().is_some() {}
        assert!(table.is_empty() && table.ages.is_empty() && table.owned.is_empty());
        assert_eq!(table.largest(), None);
    }

    #[test]
    fn a_smaller_table_sheds_one_by_one() {
        let mut table = Table::new(8);
        for key in 0..8 {
            table.insert('m', key, ());
        }
        table.change(5);
        let shed: Vec<_> = std::iter::from_fn(|| table.shed()).map(|(key, ())| key).collect();
        assert_eq!(shed, [0, 1, 2]);
    }
}
