//! The record of accepted silent knocks, without XDP.

use crate::quota::MEMORABLE_SECONDS;
use letmein_common::maps::NonceKey;
use std::collections::HashMap;

const SECOND: u64 = 1_000_000_000;
/// How much longer than necessary a nonce is remembered, as long as there is room: for clocks that are set back.
const LONGER: u64 = 3_600;

/// Nonces, with the time when each was accepted.
pub(super) struct Nonces {
    accepted: HashMap<NonceKey, u64>,
    capacity: usize,
    /// When it was tidied up last.
    swept: u64,
}

impl Nonces {
    /// None yet, and at most `capacity`.
    pub fn new(capacity: u32) -> Self {
        Self {
            accepted: HashMap::new(),
            capacity: capacity as usize,
            swept: 0,
        }
    }

    /// Goes on with another capacity. Nothing is forgotten that could be replayed.
    pub const fn change(&mut self, capacity: u32) {
        self.capacity = capacity as usize;
    }

    /// Whether this nonce was accepted.
    pub fn contains(&self, nonce: &NonceKey) -> bool {
        self.accepted.contains_key(nonce)
    }

    /// Remembers it; `false` when it was there already, or when there is no room.
    pub fn record(&mut self, nonce: &NonceKey, now: u64) -> bool {
        // Each sweep looks at all of them.
        if self.accepted.len() >= self.capacity / 2 && now >= self.swept.saturating_add(SECOND) {
            self.sweep(now);
        }
        if self.accepted.len() >= self.capacity || self.contains(nonce) {
            return false;
        }
        self.accepted.insert(*nonce, now);
        true
    }

    fn sweep(&mut self, now: u64) {
        self.swept = now;
        for seconds in [MEMORABLE_SECONDS + LONGER, MEMORABLE_SECONDS] {
            let oldest = now.saturating_sub(seconds * SECOND);
            self.accepted.retain(|_, accepted| *accepted >= oldest);
            if self.accepted.len() < self.capacity / 2 {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use letmein_common::UserId;

    fn nonce(number: u8) -> NonceKey {
        NonceKey::new(UserId(1), &[number; 16])
    }

    #[test]
    fn what_could_be_replayed_is_never_pushed_out() {
        let mut nonces = Nonces::new(4);
        let begin = 5_000 * SECOND;
        for number in 0..4 {
            assert!(nonces.record(&nonce(number), begin));
        }
        assert!(!nonces.record(&nonce(0), begin), "twice");
        let last = begin + MEMORABLE_SECONDS * SECOND;
        assert!(!nonces.record(&nonce(9), last), "there is no room");
        assert!((0..4).all(|number| nonces.contains(&nonce(number))));
        assert!(nonces.record(&nonce(9), last + SECOND));
        assert!(!nonces.contains(&nonce(0)));
    }

    #[test]
    fn with_room_it_remembers_for_longer() {
        let mut nonces = Nonces::new(8);
        let begin = 5_000 * SECOND;
        assert!(nonces.record(&nonce(0), begin));
        for number in 1..3 {
            assert!(nonces.record(&nonce(number), begin + 200 * SECOND));
        }
        assert!(nonces.record(&nonce(5), begin + 1_000 * SECOND));
        assert!(nonces.contains(&nonce(0)));
        assert!(nonces.record(&nonce(6), begin + 3_691 * SECOND));
        assert!(!nonces.contains(&nonce(0)) && nonces.contains(&nonce(1)));
    }
}
