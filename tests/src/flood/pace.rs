//! So many a second.

use std::time::{Duration, Instant};

/// Who had no turn for longer than this does not make up for it.
const LATE: Duration = Duration::from_millis(100);

/// What is due at a rate.
pub struct Pace {
    rate: u64,
    begun: Instant,
    /// How many have been due until now.
    done: u64,
}

impl Pace {
    /// So many a second, beginning now.
    #[must_use]
    pub fn new(rate: u64) -> Self {
        Self {
            rate,
            begun: Instant::now(),
            done: 0,
        }
    }

    /// How many are due since this was last asked.
    pub fn due(&mut self) -> u64 {
        self.due_after(self.begun.elapsed())
    }

    fn due_after(&mut self, elapsed: Duration) -> u64 {
        let by_now = self.by(elapsed);
        let due = by_now.saturating_sub(self.done).min(self.by(LATE).max(1));
        self.done = by_now;
        due
    }

    fn by(&self, elapsed: Duration) -> u64 {
        u64::try_from(elapsed.as_micros() * u128::from(self.rate) / 1_000_000).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use std::time::Duration;

    #[test]
    fn a_rate_is_by_the_second() {
        let mut pace = Pace::new(300);
        let due: u64 = (0..=1000)
            .map(|ms| pace.due_after(Duration::from_millis(ms)))
            .sum();
        assert_eq!(due, 300);
    }

    #[test]
    fn what_is_long_due_is_left_out() {
        let mut pace = Pace::new(300);
        assert_eq!(pace.due_after(Duration::from_secs(10)), 30);
        assert_eq!(pace.due_after(Duration::from_secs(10)), 0);
        let mut slow = Pace::new(1);
        assert_eq!(slow.due_after(Duration::from_secs(10)), 1);
    }
}
