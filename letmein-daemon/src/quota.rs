//! How many genuine knocks each user gets accepted, and how many of them have to be remembered for that.

use letmein_common::{UserId, bucket::Limit, wire::silent::EPOCH_SECONDS};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tracing::warn;

/// A silent knock is good in its own epoch and in the two beside it. As long has its nonce to be remembered.
pub const MEMORABLE_SECONDS: u64 = 3 * EPOCH_SECONDS;
/// How often the record of nonces is tidied up, at least: so much longer does a nonce stay there.
pub const SWEEP_SECONDS: u64 = 10;
/// Knocks of one user a second, at most.
const HIGHEST_RATE: u32 = 4;
/// Knocks at once after a pause, for each one a second.
const BURST: u32 = 64;
/// How many nonces one user can have in the record, for each knock a second.
#[expect(
    clippy::cast_possible_truncation,
    reason = "both are less than a hundred seconds"
)]
const SHARE: u32 = BURST + MEMORABLE_SECONDS as u32 + SWEEP_SECONDS as u32 + 4;

/// The share of each user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Genuine knocks that are accepted, of each kind.
    pub limit: Limit,
    /// How many nonces the record holds. All users together cannot fill it.
    pub nonces: u32,
}

impl Quota {
    /// With so many users, and room for so many knocks at least.
    #[must_use]
    pub fn of(users: usize, seen_knocks: u32) -> Self {
        let users = u32::try_from(users).unwrap_or(u32::MAX).max(1);
        let rate = (seen_knocks / users / SHARE).clamp(1, HIGHEST_RATE);
        // A power of two, so that a few users more or fewer do not change the size of the record: it would be made anew.
        let nonces = users.saturating_mul(rate * SHARE).max(seen_knocks);
        Self {
            limit: Limit::new(rate, rate * BURST),
            nonces: nonces.checked_next_power_of_two().unwrap_or(u32::MAX),
        }
    }
}

/// How often it is looked whose knocks were refused.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often the log tells of one user, at most.
const TELL_EVERY: Duration = Duration::from_mins(5);

/// What the log tells of refused knocks: of each user a line once in a while, however many were refused.
#[derive(Default)]
pub struct Told(Option<HashMap<UserId, Of>>);

/// What was told of one user.
struct Of {
    refused: u64,
    when: Option<Instant>,
}

impl Told {
    /// Tells of users of whom more were refused than before: by id, name, and how many so far. The first time, it only
    /// looks: an earlier process or program has told of those.
    pub fn tell<'a>(&mut self, refused: impl Iterator<Item = (UserId, &'a str, u64)>) {
        let first = self.0.is_none();
        let told = self.0.get_or_insert_default();
        for (id, name, refused) in refused {
            let of = told.entry(id).or_insert(Of {
                refused: if first { refused } else { 0 },
                when: None,
            });
            let more = refused.saturating_sub(of.refused);
            if more > 0 && of.when.is_none_or(|when| when.elapsed() >= TELL_EVERY) {
                warn!(
                    event = "over-quota",
                    user = name,
                    refused = more,
                    "{more} genuine knocks of {name} were refused: they are more than one user's share (counter quota)"
                );
                *of = Of {
                    refused,
                    when: Some(Instant::now()),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many knocks of one user are accepted within this time, at most.
    fn most(limit: &Limit, seconds: u64) -> u64 {
        const SECOND: u64 = 1_000_000_000;
        let (mut arrival, mut accepted) = (0, 0);
        let begin = 1_000 * SECOND;
        let mut now = begin;
        while now < begin + seconds * SECOND {
            while let Some(next) = limit.take(arrival, now) {
                arrival = next;
                accepted += 1;
            }
            now += limit.interval / 3;
        }
        accepted
    }

    #[test]
    fn the_record_has_room_for_all_that_all_users_may_send() {
        for users in [0, 1, 7, 97, 98, 390, 391, 1_000, 10_000] {
            for seen in [1, 1_000, 65_536, 1 << 22] {
                let quota = Quota::of(users, seen);
                let most = most(&quota.limit, MEMORABLE_SECONDS + SWEEP_SECONDS);
                let all = users.max(1) as u64 * most;
                assert!(
                    all <= quota.nonces.into(),
                    "{users} users, {seen}: {all} in {quota:?}"
                );
                assert!(most >= MEMORABLE_SECONDS + u64::from(BURST));
                assert!(quota.nonces >= seen);
            }
        }
    }

    #[test]
    fn a_few_users_more_need_no_other_record() {
        assert_eq!(Quota::of(1, 65_536).nonces, 65_536);
        assert_eq!(Quota::of(390, 65_536).nonces, 65_536);
        assert_eq!(Quota::of(9_000, 65_536).nonces, Quota::of(10_000, 65_536).nonces);
        // A few megabytes of it are reserved.
        assert_eq!(Quota::of(10_000, 65_536).nonces, 1 << 21);
    }
}
