//! What the gate remembers about each user: what the user has spent lately, and where the user has knocked from.
//!
//! One record for each user, made by the daemon and changed by whoever judges packets. So no user takes room from
//! another, whatever a user sends.

use crate::{bucket::Limit, source::Address};

/// How many source networks are remembered for each user.
pub const NETWORKS: usize = 16;

/// What a user can spend. Each has a token bucket of its own, for each user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purse {
    /// KNOCKs and REVOKEs that proved the key.
    Knocks,
    /// Silent knocks that proved the key.
    SilentKnocks,
    /// Silent knocks whose CHECK is right: what the MAC of somebody's silent knocks may cost before others wait for it.
    SilentTries,
}

/// The record. CPUs change it without a lock: at worst one of two changes is lost, which lets one packet more through.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Account {
    /// Networks from which the user has answered a challenge. All zeros is none.
    networks: [Address; NETWORKS],
    /// How many were remembered so far: the next one replaces the oldest.
    remembered: u64,
    /// Token buckets, by [`Purse`].
    purses: [u64; 3],
    /// How many genuine knocks were refused because a purse was empty.
    refused: u64,
}

impl Account {
    /// Whether the user has answered a challenge from this network.
    #[inline(always)]
    #[must_use]
    pub fn knows(&self, network: &Address) -> bool {
        // It ends with the first match: carrying the outcome on through the loop would double the verifier's states with
        // each round.
        for one in &self.networks {
            if one == network {
                return *network != Address::default();
            }
        }
        false
    }

    /// Remembers that the user has answered a challenge from this network.
    #[inline(always)]
    pub fn remember(&mut self, network: &Address) {
        if self.knows(network) {
            return;
        }
        // A multiple of all places, so the lowest byte is enough.
        const { assert!(256 % NETWORKS == 0) };
        let [lowest, ..] = self.remembered.to_le_bytes();
        self.remembered = self.remembered.wrapping_add(1);
        if let Some(place) = self.networks.get_mut(usize::from(lowest) % NETWORKS) {
            *place = *network;
        }
    }

    /// Takes a token from a purse; `false` when it is empty.
    #[inline(always)]
    pub fn take(&mut self, purse: Purse, limit: &Limit, now: u64) -> bool {
        let Some(arrival) = self.purses.get_mut(purse as usize) else {
            return false;
        };
        if let Some(next) = limit.take(*arrival, now) {
            *arrival = next;
            return true;
        }
        if purse != Purse::SilentTries {
            self.refused = self.refused.wrapping_add(1);
        }
        false
    }

    /// How many genuine knocks were refused because a purse was empty.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_network_makes_way_and_no_network_is_there_twice() {
        let mut account = Account::default();
        let network = |last| Address::v4([192, 0, 2, last]);
        account.remember(&network(0));
        for last in 0..16 {
            account.remember(&network(last));
            account.remember(&network(last));
        }
        assert!((0..16).all(|last| account.knows(&network(last))));
        account.remember(&network(16));
        assert!(!account.knows(&network(0)));
        assert!((1..17).all(|last| account.knows(&network(last))));
        assert!(!account.knows(&network(99)));
        assert!(!Account::default().knows(&Address::default()));
    }

    #[test]
    fn one_purse_is_not_another_and_only_genuine_knocks_count_as_refused() {
        let mut account = Account::default();
        let limit = Limit::new(1, 2);
        for purse in [Purse::Knocks, Purse::SilentKnocks, Purse::SilentTries] {
            let taken: [bool; 3] = core::array::from_fn(|_| account.take(purse, &limit, 5));
            assert_eq!(taken, [true, true, false], "{purse:?}");
        }
        assert_eq!(account.refused(), 2);
    }
}
