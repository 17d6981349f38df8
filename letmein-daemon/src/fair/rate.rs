//! A rate that users share.

use letmein_common::UserId;
use std::collections::{BTreeSet, HashMap};

/// What one request costs, in units that drain at `per_second` each nanosecond.
const COST: u128 = 1_000_000_000;
/// A compartment with no more than this counts as empty: what does not divide by the number of users drains later.
const EMPTY: u128 = COST / 16;
/// How many seconds' worth may be done at once after a pause.
const BURST_SECONDS: u128 = 10;

/// A leaky bucket with a compartment for each user.
///
/// What is done raises the level of the user's compartment. The bucket drains at the rate, in equal parts for all users
/// whose compartments are not empty (processor sharing). A user whose compartment is empty is served as long as
/// anything is left of the bucket; anybody else only up to a level of half of what is left.
///
/// What this guarantees, where `per_second` is the rate, `burst` ten times that, and *n* the number of users with
/// something in their compartments:
///
/// - In any period of *t* seconds no more is done than `burst + per_second × t`, whoever asks.
/// - A user who asks no more often than every *n* / `per_second` seconds is not refused as long as anything is left of
///   the bucket, and each user who takes all that there is to get leaves two thirds of what was left before: one greedy
///   user 666 of 1000, two of them 444, ten of them 17.
/// - A user who is alone gets the whole rate, and a third of `burst` at once.
pub struct Rate {
    per_second: u32,
    /// The clock's time up to which the bucket has drained, in nanoseconds.
    now: u64,
    /// How far every compartment that was never empty meanwhile has drained.
    drained: u128,
    /// What `drained` has to be for a compartment to be empty.
    ends: HashMap<UserId, u128>,
    /// The same, the first to be empty first.
    order: BTreeSet<(u128, UserId)>,
    /// The sum of all levels.
    level: u128,
    /// What did not divide by the number of users.
    rest: u128,
}

impl Rate {
    /// This many each second.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second,
            now: 0,
            drained: 0,
            ends: HashMap::new(),
            order: BTreeSet::new(),
            level: 0,
            rest: 0,
        }
    }

    /// This many each second from now on. What users have had is not forgotten.
    pub const fn change(&mut self, per_second: u32) {
        self.per_second = per_second;
    }

    /// Whether one more may be done for `user`. If so, it counts. `now` is that of a monotonic clock, in nanoseconds.
    pub fn take(&mut self, user: UserId, now: u64) -> bool {
        self.drain(now);
        let burst = BURST_SECONDS * u128::from(self.per_second) * COST;
        let left = burst.saturating_sub(self.level);
        let end = self.ends.get(&user).copied();
        let own = end.map_or(0, |end| end.saturating_sub(self.drained));
        let most = if own <= EMPTY { left } else { left / 2 };
        if own.saturating_sub(EMPTY) + COST > most {
            return false;
        }
        if let Some(end) = end {
            self.order.remove(&(end, user));
        }
        let end = self.drained + own + COST;
        self.ends.insert(user, end);
        self.order.insert((end, user));
        self.level += COST;
        true
    }

    fn drain(&mut self, now: u64) {
        let elapsed = u128::from(now.saturating_sub(self.now));
        self.now = self.now.max(now);
        let mut credit = std::mem::take(&mut self.rest) + elapsed * u128::from(self.per_second);
        while let Some((end, user)) = self.order.first().copied() {
            let sharers = self.order.len() as u128;
            let each = end.saturating_sub(self.drained).min(credit / sharers);
            self.drained += each;
            credit -= each * sharers;
            self.level = self.level.saturating_sub(each * sharers);
            if self.drained < end {
                self.rest = credit;
                return;
            }
            self.order.remove(&(end, user));
            self.ends.remove(&user);
        }
        self.drained = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const ALICE: UserId = UserId(1);

    /// How many of `tries` requests are done at this time.
    fn done(rate: &mut Rate, user: u32, now: u64, tries: u32) -> u32 {
        (0..tries)
            .filter(|_| rate.take(UserId(user), now))
            .count()
            .try_into()
            .unwrap()
    }

    #[test]
    fn a_user_alone_gets_the_whole_rate_and_a_third_of_the_burst() {
        let mut rate = Rate::new(6);
        let start = 1 << 40;
        assert_eq!(done(&mut rate, 1, start, 100), 20);
        for second in 1..60 {
            assert_eq!(done(&mut rate, 1, start + second * SECOND, 100), 6, "{second}");
        }
        assert_eq!(done(&mut rate, 1, start + 3600 * SECOND, 100), 20);
    }

    /// Whoever asks, and however many they are.
    #[test]
    fn the_total_is_bounded() {
        for users in [1, 2, 3, 17, 200] {
            let mut rate = Rate::new(5);
            let mut all = 0;
            for tick in 0..200_u64 {
                let now = tick * SECOND / 10;
                for user in 0..users {
                    all += done(&mut rate, user, now, 3);
                }
                let most = 50 + 5 * (now / SECOND + 1);
                assert!(u64::from(all) <= most, "{all} for {users} users");
            }
            // Nor is anything of the rate lost.
            assert!(all >= 5 * 19, "{all} for {users} users");
        }
    }

    #[test]
    fn whoever_keeps_to_an_equal_share_is_never_refused() {
        for greedy in [1, 2, 5] {
            let mut rate = Rate::new(5);
            let every = u64::from(greedy + 1) * SECOND / 5;
            for step in 0..2000_u64 {
                let now = step * SECOND / 50;
                for user in 0..greedy {
                    done(&mut rate, 100 + user, now, 10);
                }
                if now.is_multiple_of(every) {
                    assert!(rate.take(ALICE, now), "at {now}, beside {greedy}");
                }
            }
        }
    }

    /// All at once, before anything has drained.
    #[test]
    fn each_greedy_user_leaves_two_thirds_of_what_was_left() {
        let mut rate = Rate::new(100);
        for greedy in 0..10 {
            done(&mut rate, 100 + greedy, 0, 1000);
            let least = 1000.0 * (2.0_f64 / 3.0).powi(greedy.cast_signed() + 1) - 1.0;
            let left = 1000.0 - f64::from(u32::try_from(rate.level / COST).unwrap());
            assert!(left >= least, "{left} after {greedy}");
        }
        for newcomer in 0..17 {
            assert!(rate.take(UserId(newcomer), 0), "{newcomer}");
        }
    }

    #[test]
    fn whoever_wants_more_gets_an_equal_share() {
        let mut rate = Rate::new(12);
        let mut served = [0; 3];
        for step in 0..6000_u64 {
            let now = step * SECOND / 100;
            for user in 0..3 {
                served[user as usize] += done(&mut rate, user, now, 2);
            }
        }
        // A minute's worth of four a second, and what was left to each in the beginning.
        for each in served {
            assert!((240..=240 + 61).contains(&each), "{served:?}");
        }
    }

    #[test]
    fn another_rate_holds_at_once() {
        let mut rate = Rate::new(10);
        assert_eq!(done(&mut rate, 1, 0, 1000), 33);
        rate.change(1);
        assert_eq!(done(&mut rate, 1, SECOND, 10), 0);
        rate.change(1000);
        assert!(done(&mut rate, 1, SECOND, 10_000) > 1000);
    }

    /// A clock that goes backwards drains nothing and is no error.
    #[test]
    fn time_only_goes_forward() {
        let mut rate = Rate::new(1);
        assert!(rate.take(ALICE, u64::MAX));
        assert!(rate.take(ALICE, 0));
    }

    #[test]
    fn who_has_had_nothing_lately_is_not_remembered() {
        let mut rate = Rate::new(100);
        for user in 0..300 {
            assert!(rate.take(UserId(user), 0));
        }
        assert!(rate.take(ALICE, 100 * SECOND));
        assert_eq!((rate.ends.len(), rate.order.len(), rate.level), (1, 1, COST));
    }
}
