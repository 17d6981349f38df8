//! How many of `firewall.max-leases` each user may hold, so that no user keeps the others out.
//!
//! Half of them are reserved in equal shares, one for each user in the configuration: a user can always hold that many,
//! whatever the others hold together. A user who holds more borrows from the other half, and may borrow no more than
//! stays free there. So a single greedy user gets half of all leases where there are two users, and about a quarter where
//! there are many.
//!
//! Operators are trusted: only the limit stops them.

use super::Opener;
use letmein_common::UserId;
use std::collections::HashMap;

/// Who holds how many, and may have how many.
pub(super) struct Shares {
    limit: u32,
    /// What each user gets in any case.
    each: u32,
    /// All that anybody holds.
    total: u32,
    held: HashMap<UserId, u32>,
    /// What users do not hold of their shares: it is kept for them.
    owed: u32,
}

/// Why somebody gets no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The limit is reached.
    Full,
    /// It is not, but this user holds so many already that the rest is left to others.
    Greedy { held: u32 },
}

impl Shares {
    /// Of nobody yet, for so many users.
    pub fn new(limit: u32, users: usize) -> Self {
        let users = u32::try_from(users).unwrap_or(u32::MAX).max(1);
        // Where there is one user, there is nobody to keep anything for.
        let each = match users {
            1 => limit,
            users => (limit / 2 / users).max(u32::from(limit >= users)),
        };
        Self {
            limit,
            each,
            total: 0,
            held: HashMap::new(),
            owed: each * users,
        }
    }

    /// `firewall.max-leases`.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Takes note of one more.
    pub fn add(&mut self, opener: Opener) {
        self.total += 1;
        if let Opener::User(user) = opener {
            let held = self.held.entry(user).or_default();
            self.owed = self.owed.saturating_sub(u32::from(*held < self.each));
            *held += 1;
        }
    }

    /// Takes note of one less.
    pub fn remove(&mut self, opener: Opener) {
        self.total = self.total.saturating_sub(1);
        if let Opener::User(user) = opener
            && let Some(held) = self.held.get_mut(&user)
        {
            *held = held.saturating_sub(1);
            self.owed += u32::from(*held < self.each);
            if *held == 0 {
                self.held.remove(&user);
            }
        }
    }

    /// Whether there may be so many more of this opener's.
    pub fn admit(&self, opener: Opener, more: usize) -> Result<(), Refusal> {
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if more == 0 {
            return Ok(());
        }
        let free = self.limit.saturating_sub(self.total);
        let left = free.checked_sub(more).ok_or(Refusal::Full);
        let Opener::User(user) = opener else {
            return left.map(drop);
        };
        let held = self.held.get(&user).copied().unwrap_or_default();
        let own = held.saturating_add(more);
        let left = left.map_err(|full| match held {
            held if held > self.each => Refusal::Greedy { held },
            _ => full,
        })?;
        let borrowed = own.saturating_sub(self.each);
        let owed_to_others = self.owed - self.each.saturating_sub(held).min(self.owed);
        if borrowed == 0 || borrowed <= left.saturating_sub(owed_to_others) {
            return Ok(());
        }
        Err(Refusal::Greedy { held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u32) -> Opener {
        Opener::User(UserId(number))
    }

    /// Takes one after the other until refused; returns how many that are.
    fn take_all(shares: &mut Shares, opener: Opener) -> u32 {
        let mut taken = 0;
        while shares.admit(opener, 1).is_ok() {
            shares.add(opener);
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_single_user_may_hold_all() {
        let mut shares = Shares::new(10, 1);
        assert_eq!(take_all(&mut shares, user(1)), 10);
        assert_eq!(shares.admit(user(1), 1), Err(Refusal::Full));
    }

    #[test]
    fn one_of_two_holds_half_and_one_of_many_a_quarter() {
        for (users, expected) in [(2, 32_768), (4, 24_576), (10_000, 17_771)] {
            let mut shares = Shares::new(65_536, users);
            assert_eq!(take_all(&mut shares, user(1)), expected, "{users} users");
            assert_eq!(shares.admit(user(1), 1), Err(Refusal::Greedy { held: expected }));
        }
    }

    /// Whatever all the others hold, together, and in whatever order.
    #[test]
    fn everybody_gets_the_share() {
        for (limit, users) in [
            (2, 2),
            (5, 4),
            (64, 2),
            (64, 5),
            (64, 32),
            (1000, 7),
            (65_536, 10_000),
        ] {
            let mut shares = Shares::new(limit, users as usize);
            let share = (limit / 2 / users).max(1);
            for number in 1..users {
                take_all(&mut shares, user(number));
            }
            assert!(take_all(&mut shares, user(users)) >= share, "{limit} for {users}");
            assert!(shares.total <= limit);
            // What is given back can be taken again.
            for _ in 0..share {
                shares.remove(user(users));
            }
            for number in 1..users {
                take_all(&mut shares, user(number));
            }
            assert_eq!(shares.admit(user(users), share as usize), Ok(()));
        }
    }

    #[test]
    fn where_shares_are_nothing_one_user_still_leaves_half_of_the_rest() {
        let mut shares = Shares::new(100, 1000);
        assert_eq!(take_all(&mut shares, user(1)), 50);
        assert_eq!(take_all(&mut shares, user(2)), 25);
        assert_eq!(shares.admit(user(3), 2), Ok(()));
    }

    #[test]
    fn an_operator_is_stopped_by_the_limit_alone() {
        let mut shares = Shares::new(10, 3);
        assert_eq!(take_all(&mut shares, Opener::Operator(0)), 10);
        assert_eq!(shares.admit(Opener::Operator(0), 1), Err(Refusal::Full));
        assert_eq!(shares.admit(user(1), 1), Err(Refusal::Full));
        shares.remove(Opener::Operator(0));
        assert_eq!(shares.admit(user(1), 1), Ok(()));
        assert_eq!(shares.admit(user(1), 2), Err(Refusal::Full));
    }

    #[test]
    fn a_resource_counts_as_a_whole() {
        let shares = Shares::new(16, 2);
        assert_eq!(shares.admit(user(1), 8), Ok(()));
        assert_eq!(shares.admit(user(1), 9), Err(Refusal::Greedy { held: 0 }));
        assert_eq!(shares.admit(user(1), usize::MAX), Err(Refusal::Full));
    }
}
