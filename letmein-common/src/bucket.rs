//! A token bucket in one word: the generic cell rate algorithm (ITU-T I.371, annex A).
//!
//! Instead of a token count and a time stamp it keeps the *theoretical arrival time* of the next packet.
//! One word can be read and written in a BPF map without a lock. Two CPUs that race on one source let at
//! most one extra packet through each; the bucket limits work, it does not prove anything.

/// How many packets a source may send. `INTERVAL == 0` switches the limit off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Limit {
    /// Nanoseconds that one packet uses up: 1e9 / rate.
    pub interval: u64,
    /// Nanoseconds of credit that a quiet source saves up: interval × (burst - 1).
    pub tolerance: u64,
}

impl Limit {
    /// `rate` packets a second with bursts of up to `burst` packets. A `rate` of 0 means no limit.
    #[must_use]
    pub const fn new(rate: u32, burst: u32) -> Self {
        if rate == 0 {
            return Self {
                interval: 0,
                tolerance: 0,
            };
        }
        let interval = 1_000_000_000 / rate as u64;
        Self {
            interval,
            tolerance: interval * burst.saturating_sub(1) as u64,
        }
    }

    /// `part` of `whole` of this: a rate so much lower, and a quiet source saves up for as long as before.
    #[must_use]
    pub const fn share(self, part: u64, whole: u64) -> Self {
        Self {
            interval: self.interval.saturating_mul(whole) / part,
            tolerance: self.tolerance,
        }
    }

    /// Takes one token at time `now` (nanoseconds of a monotonic clock) from the bucket whose word is
    /// `arrival` (0 for a new source). Returns the bucket's new word, or `None` when it is empty.
    #[inline(always)]
    #[must_use]
    pub const fn take(&self, arrival: u64, now: u64) -> Option<u64> {
        if arrival > now.saturating_add(self.tolerance) {
            return None;
        }
        let base = if arrival > now { arrival } else { now };
        Some(base.saturating_add(self.interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let limit = Limit::new(10, 3);
        let mut arrival = 0;
        let mut now = 1_000_000_000;
        for _ in 0..3 {
            arrival = limit.take(arrival, now).unwrap();
        }
        assert_eq!(limit.take(arrival, now), None);
        now += 99_999_999;
        assert_eq!(limit.take(arrival, now), None);
        now += 1;
        arrival = limit.take(arrival, now).unwrap();
        assert_eq!(limit.take(arrival, now), None);
    }

    #[test]
    fn idleness_saves_no_more_than_the_burst() {
        let limit = Limit::new(1, 2);
        let mut arrival = limit.take(0, 1).unwrap();
        let now = 3_600_000_000_000;
        arrival = limit.take(arrival, now).unwrap();
        arrival = limit.take(arrival, now).unwrap();
        assert_eq!(limit.take(arrival, now), None);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let limit = Limit::new(0, 0);
        let mut arrival = 0;
        for _ in 0..1_000 {
            arrival = limit.take(arrival, 5).unwrap();
        }
    }
}
