//! Refusals that somebody can cause at will: counted, and told once in a while.
//!
//! Each kind of refusal has a few lines in a row for each user, so that what happens now and then is told in full. From
//! then on there is one line every ten seconds, which tells how many others there were. What nobody has a key for
//! is counted together, so strangers cannot make this grow.

use crate::{clock, config::User};
use letmein_common::{UserId, bucket::Limit};
use std::{cell::RefCell, collections::HashMap, fmt, time::Duration};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// How long lines of one kind and user are apart.
const PAUSE: Duration = Duration::from_secs(10);
/// How many of them come in a row after a pause.
const IN_A_ROW: u64 = 5;
/// How many kinds and users are counted apart. What is beyond is counted by kind alone.
const MOST: usize = 1024;

thread_local! {
    /// Each of the two processes has one thread.
    static REFUSALS: RefCell<Refusals> = RefCell::default();
}

/// How many refusals were not told since the last that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untold(u64);

impl fmt::Display for Untold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(formatter, " ({count} more like this since the last line)"),
        }
    }
}

/// Counts a refusal of this kind and user. If it is to be told, so are those that were not.
#[must_use]
pub fn count(kind: &'static str, user: Option<&User>) -> Option<Untold> {
    let user = user.map(|user| (user.id, user.name.as_str()));
    REFUSALS.with_borrow_mut(|refusals| refusals.count(kind, user, clock::monotonic()))
}

/// Tells of what was not told while it happened, for good.
pub async fn tell_the_rest() {
    let mut clock = interval(PAUSE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let rest = REFUSALS.with_borrow_mut(|refusals| refusals.take_rest(clock::monotonic()));
        for (kind, name, count) in rest {
            if let Some(name) = name {
                warn!(
                    event = "refused",
                    user = name,
                    "{count} more refusals of {name}: {kind}"
                );
            } else {
                warn!(event = "refused", "{count} more refusals: {kind}");
            }
        }
    }
}

type Subject = (&'static str, Option<UserId>);

#[derive(Default)]
struct Refusals(HashMap<Subject, Told>);

#[derive(Default)]
struct Told {
    name: Option<String>,
    /// The bucket of lines.
    arrival: u64,
    untold: u64,
}

impl Refusals {
    fn count(&mut self, kind: &'static str, user: Option<(UserId, &str)>, now: u64) -> Option<Untold> {
        let mut user = user;
        if self.0.len() >= MOST && !self.0.contains_key(&(kind, user.map(|(id, _)| id))) {
            user = None;
        }
        let told = self.0.entry((kind, user.map(|(id, _)| id)));
        let told = told.or_insert_with(|| Told {
            name: user.map(|(_, name)| name.to_owned()),
            ..Told::default()
        });
        let Some(arrival) = limit().take(told.arrival, now) else {
            told.untold += 1;
            return None;
        };
        told.arrival = arrival;
        Some(Untold(std::mem::take(&mut told.untold)))
    }

    /// What may be told now, and forgets of whom there is nothing to tell.
    fn take_rest(&mut self, now: u64) -> Vec<(&'static str, Option<String>, u64)> {
        let mut rest = Vec::new();
        self.0.retain(|(kind, _), told| {
            if told.untold == 0 {
                return told.arrival > now;
            }
            if let Some(arrival) = limit().take(told.arrival, now) {
                told.arrival = arrival;
                rest.push((*kind, told.name.clone(), std::mem::take(&mut told.untold)));
            }
            true
        });
        rest
    }
}

fn limit() -> Limit {
    let interval = u64::try_from(PAUSE.as_nanos()).unwrap_or(u64::MAX);
    Limit {
        interval,
        tolerance: interval.saturating_mul(IN_A_ROW - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const ALICE: Option<(UserId, &str)> = Some((UserId(1), "alice"));
    const MALLORY: Option<(UserId, &str)> = Some((UserId(13), "mallory"));

    #[test]
    fn a_few_in_full_then_one_now_and_then() {
        let mut refusals = Refusals::default();
        let start = 1 << 40;
        let lines = (0..1000)
            .filter_map(|_| refusals.count("rate", MALLORY, start))
            .count();
        assert_eq!(lines, 5);
        // Others, and other kinds, are told all the same.
        assert_eq!(refusals.count("rate", ALICE, start), Some(Untold(0)));
        assert_eq!(refusals.count("limit", MALLORY, start), Some(Untold(0)));
        assert_eq!(
            refusals.count("rate", MALLORY, start + 10 * SECOND),
            Some(Untold(995))
        );
        assert_eq!(refusals.count("rate", MALLORY, start + 11 * SECOND), None);
    }

    #[test]
    fn nothing_stays_untold() {
        let mut refusals = Refusals::default();
        for _ in 0..9 {
            let _line = refusals.count("rate", MALLORY, SECOND);
        }
        assert!(refusals.take_rest(SECOND).is_empty());
        let rest = refusals.take_rest(60 * SECOND);
        assert_eq!(rest, [("rate", Some("mallory".to_owned()), 4)]);
        assert!(refusals.take_rest(3600 * SECOND).is_empty());
        assert!(refusals.0.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut refusals = Refusals::default();
        for user in 0..100_000 {
            let _line = refusals.count("rate", Some((UserId(user), "somebody")), SECOND);
        }
        assert_eq!(refusals.0.len(), MOST + 1);
        let untold: u64 = refusals.0.values().map(|told| told.untold).sum();
        assert_eq!(untold, 100_000 - MOST as u64 - IN_A_ROW);
    }

    #[test]
    fn a_line_says_how_many_there_were() {
        assert_eq!(Untold(0).to_string(), "");
        assert_eq!(Untold(7).to_string(), " (7 more like this since the last line)");
    }
}
