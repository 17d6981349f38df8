//! Which users there may be, in eight kibibytes: so that a flood of made-up users costs a load and not a look-up.
//!
//! A Bloom filter with one hash function (Bloom, *Space/time trade-offs in hash coding with allowable errors*,
//! 1970). It never denies a user who exists. With 100 users it lets one of 650 made-up ones through to the
//! look-up that decides, with 10,000 one of seven.

use crate::ids::UserId;

/// log2 of the number of bits.
const BITS: u32 = 16;
const WORDS: usize = 1 << (BITS - 6);

/// The filter's bits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Copy))]
#[repr(transparent)]
pub struct UserFilter([u64; WORDS]);

impl UserFilter {
    /// A filter of no users.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Adds a user.
    pub fn insert(&mut self, user: UserId) {
        let bit = Self::bit(user);
        self.0[bit >> 6] |= 1 << (bit & 63);
    }

    /// `false` means that this user was never added.
    #[inline(always)]
    #[must_use]
    pub fn may_contain(&self, user: UserId) -> bool {
        let bit = Self::bit(user);
        self.0[(bit >> 6) & (WORDS - 1)] >> (bit & 63) & 1 != 0
    }

    /// Spreads ids that were counted up as well as random ones (Fibonacci hashing: Knuth, *The Art of Computer
    /// Programming*, volume 3, section 6.4).
    #[inline(always)]
    const fn bit(user: UserId) -> usize {
        (user.0.wrapping_mul(0x9E37_79B1) >> (u32::BITS - BITS)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_added_is_never_denied() {
        let mut filter = UserFilter::EMPTY;
        let users = (0..10_000).chain((0..10_000).map(|i| u32::MAX - i * 77_777));
        for user in users.clone() {
            filter.insert(UserId(user));
        }
        assert!(users.clone().all(|user| filter.may_contain(UserId(user))));
    }

    #[test]
    fn most_others_are() {
        let mut filter = UserFilter::EMPTY;
        assert!((0..1000).all(|user| !filter.may_contain(UserId(user * 4_294_967))));
        for user in 1..=100 {
            filter.insert(UserId(user));
        }
        let taken = (0..100_000).filter(|i| filter.may_contain(UserId(1_000_000 + i * 39_119)));
        assert!(taken.count() < 100_000 / 400);
    }
}
