//! Who makes way in a crowd of strangers.

use letmein_common::source::Address;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// Members by the networks that they come from: networks in networks, and members in the innermost ones.
///
/// Who makes way is looked for from the outside in: of the outermost networks, the one with the most members; of the
/// networks in that, again the one with the most; and of the innermost network's members, the oldest. Where several
/// have as many, the one that nobody has joined for the longest time is taken.
///
/// So a member makes way only if each network around it has at least as many members as each of its neighbours. Who
/// comes from a network with few is safe from whoever comes from one with many.
pub(super) struct Crowd<T> {
    /// In an innermost network: its members by age, oldest first.
    members: BTreeMap<u64, T>,
    networks: HashMap<Address, Crowd<T>>,
    /// The networks by how crowded they are.
    order: BTreeSet<Rank>,
    count: usize,
    /// The age of the latest to join.
    latest: u64,
}

/// How crowded a network is, then how long nobody has joined it.
type Rank = (usize, Reverse<u64>, [u64; 2]);

impl<T> Default for Crowd<T> {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            networks: HashMap::new(),
            order: BTreeSet::new(),
            count: 0,
            latest: 0,
        }
    }
}

impl<T> Crowd<T> {
    pub const fn len(&self) -> usize {
        self.count
    }

    /// How many members the innermost network of this path has.
    pub fn len_of(&self, path: &[Address]) -> usize {
        match path.split_first() {
            None => self.count,
            Some((first, rest)) => self.networks.get(first).map_or(0, |network| network.len_of(rest)),
        }
    }

    /// Adds a member. `age` is higher than that of all who were added before.
    pub fn add(&mut self, path: &[Address], age: u64, member: T) {
        self.count += 1;
        self.latest = age;
        match path.split_first() {
            None => drop(self.members.insert(age, member)),
            Some((first, rest)) => {
                let network = self.networks.entry(*first).or_default();
                self.order.remove(&network.rank(*first));
                network.add(rest, age, member);
                self.order.insert(network.rank(*first));
            }
        }
    }

    /// Takes out a member.
    pub fn remove(&mut self, path: &[Address], age: u64) -> Option<T> {
        let Some((first, rest)) = path.split_first() else {
            let member = self.members.remove(&age)?;
            self.count -= 1;
            return Some(member);
        };
        self.within(*first, |network| network.remove(rest, age))
    }

    /// Takes out the oldest member of the innermost network of this path.
    pub fn take_oldest_of(&mut self, path: &[Address]) -> Option<T> {
        let Some((first, rest)) = path.split_first() else {
            let (_, member) = self.members.pop_first()?;
            self.count -= 1;
            return Some(member);
        };
        self.within(*first, |network| network.take_oldest_of(rest))
    }

    /// Takes out who makes way.
    pub fn take_from_fullest(&mut self) -> Option<T> {
        match self.order.last() {
            None => self.take_oldest_of(&[]),
            Some((_, _, first)) => self.within(Address(*first), Self::take_from_fullest),
        }
    }

    /// Takes a member out of a network, and forgets the network if it was the last.
    fn within(&mut self, first: Address, take: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let network = self.networks.get_mut(&first)?;
        let before = network.rank(first);
        let member = take(network)?;
        self.order.remove(&before);
        if network.count == 0 {
            self.networks.remove(&first);
        } else {
            self.order.insert(network.rank(first));
        }
        self.count -= 1;
        Some(member)
    }

    fn rank(&self, network: Address) -> Rank {
        (self.count, Reverse(self.latest), network.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &[u64]) -> Vec<Address> {
        names.iter().map(|name| Address([0, *name])).collect()
    }

    #[test]
    fn the_oldest_of_the_fullest_of_the_fullest_makes_way() {
        let mut crowd = Crowd::default();
        for (age, names) in [[1, 1], [2, 1], [2, 2], [2, 2], [2, 1], [2, 2]]
            .iter()
            .enumerate()
        {
            crowd.add(&path(names), age as u64, age);
        }
        // Of the second network's second, which has three, then two and was joined last; then the first, which has two.
        let gone: Vec<_> = std::iter::from_fn(|| crowd.take_from_fullest()).collect();
        assert_eq!(gone, [2, 1, 3, 4, 0, 5]);
        assert!(crowd.networks.is_empty() && crowd.order.is_empty() && crowd.len() == 0);
    }

    /// However many networks in one network there are.
    #[test]
    fn a_network_with_few_is_safe_from_one_with_many() {
        let mut crowd = Crowd::default();
        crowd.add(&path(&[1, 1]), 0, "guest");
        for age in 1..5000 {
            crowd.add(&path(&[2, age]), age, "stranger");
            if crowd.len() > 8 {
                assert_eq!(crowd.take_from_fullest(), Some("stranger"));
            }
        }
        assert_eq!(crowd.remove(&path(&[1, 1]), 0), Some("guest"));
    }

    #[test]
    fn where_all_have_as_many_the_oldest_makes_way() {
        let mut crowd = Crowd::default();
        for age in 0..100 {
            crowd.add(&path(&[1000 - age, age]), age, age);
            if crowd.len() > 10 {
                assert_eq!(crowd.take_from_fullest(), Some(age - 10));
            }
        }
    }

    #[test]
    fn whoever_leaves_is_counted_nowhere() {
        let mut crowd = Crowd::default();
        for age in 0..4 {
            crowd.add(&path(&[1, age % 2]), age, age);
        }
        assert_eq!(crowd.len_of(&path(&[1, 0])), 2);
        assert_eq!(crowd.remove(&path(&[1, 0]), 0), Some(0));
        assert_eq!(crowd.remove(&path(&[1, 0]), 0), None);
        assert_eq!(crowd.remove(&path(&[7, 0]), 0), None);
        assert_eq!((crowd.len(), crowd.len_of(&path(&[1, 0]))), (3, 1));
        assert_eq!(crowd.take_oldest_of(&path(&[1, 1])), Some(1));
        assert_eq!(crowd.take_oldest_of(&path(&[2, 1])), None);
        assert_eq!(crowd.len(), 2);
    }
}
