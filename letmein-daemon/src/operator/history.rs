//! What was counted in the last seconds.

use letmein_common::reason::{Counters, Reason};
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// Over how many seconds a rate is taken.
const SECONDS: usize = 5;

/// The counters, second by second.
#[derive(Default)]
pub struct History {
    samples: VecDeque<(Instant, Counters)>,
}

/// What happened each second, on average.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    counted: Counters,
    time: Duration,
}

impl History {
    /// Notes what the counters are now.
    pub fn note(&mut self, now: Instant, counters: Counters) {
        self.samples.push_back((now, counters));
        while self.samples.len() > SECONDS + 1 {
            self.samples.pop_front();
        }
    }

    /// The rates of the last seconds, up to these counters.
    #[must_use]
    pub fn rates(&self, now: Instant, counters: &Counters) -> Rates {
        let Some((since, before)) = self.samples.front() else {
            return Rates::default();
        };
        Rates {
            counted: difference(counters, before),
            time: now.saturating_duration_since(*since),
        }
    }

    /// How many packets were refused between the last two notes.
    #[must_use]
    pub fn refused_lately(&self) -> u64 {
        let mut latest = self.samples.iter().rev();
        match (latest.next(), latest.next()) {
            (Some((_, now)), Some((_, before))) => difference(now, before).refused.iter().sum(),
            _ => 0,
        }
    }
}

impl Rates {
    /// Of this reason.
    #[must_use]
    pub fn refused(&self, reason: Reason) -> f64 {
        self.per_second(self.counted.of(reason))
    }

    /// Of genuine packets.
    #[must_use]
    pub fn genuine(&self) -> f64 {
        self.per_second(self.counted.genuine)
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn per_second(&self, count: u64) -> f64 {
        // Right after the start there is no time to speak of.
        if self.time < Duration::from_millis(100) {
            0.0
        } else {
            count as f64 / self.time.as_secs_f64()
        }
    }
}

/// What was counted since `before`. Counters that began anew count from zero.
fn difference(now: &Counters, before: &Counters) -> Counters {
    let less = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
    let mut difference = *now;
    difference.genuine = less(now.genuine, before.genuine);
    for (now, before) in difference.refused.iter_mut().zip(before.refused) {
        *now = less(*now, before);
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(genuine: u64, auth: u64) -> Counters {
        let mut counters = Counters {
            genuine,
            ..Counters::default()
        };
        counters.refused[Reason::Auth as usize] = auth;
        counters
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut history = History::default();
        assert_eq!(history.rates(start, &counters(5, 5)), Rates::default());
        for second in 0..10 {
            history.note(at(second), counters(second, 100 * second));
        }
        let rates = history.rates(at(9), &counters(9, 900));
        assert!((rates.genuine() - 1.0).abs() < 1e-9, "{rates:?}");
        assert!((rates.refused(Reason::Auth) - 100.0).abs() < 1e-9, "{rates:?}");
        assert!(rates.refused(Reason::Replay).abs() < 1e-9, "{rates:?}");
        assert_eq!(history.refused_lately(), 100);
    }

    #[test]
    fn counters_that_begin_anew_are_no_flood() {
        let start = Instant::now();
        let mut history = History::default();
        history.note(start, counters(1000, 1000));
        let rates = history.rates(start + Duration::from_secs(1), &counters(2, 3));
        assert!(rates.genuine() < 3.0 && rates.refused(Reason::Auth) < 4.0);
    }
}
