//! Exchanges over UDP that have got a challenge and still owe the response.
//!
//! Only who proved a key with a salt not seen before gets an entry, and there is a bound: when it is reached,
//! the entry that lapses first makes way.

use letmein_common::{
    ResourceId, UserId,
    hmac::Auth,
    maps::{Pending, PendingKey},
    wire::challenge::Operation,
};
use std::collections::HashMap;

/// One exchange.
#[derive(Clone, Copy)]
pub struct Exchange {
    /// What it began with: KNOCK or REVOKE.
    pub operation: Operation,
    /// The challenge, and until when it may be answered.
    pub pending: Pending,
    /// Its RESPONSE was acted upon. A repeated one, after a lost COMEIN, is answered but changes nothing.
    pub done: bool,
}

/// All of them.
pub struct Exchanges {
    by_key: HashMap<PendingKey, Exchange>,
    capacity: usize,
}

impl Exchanges {
    /// None yet, and at most `capacity`.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            by_key: HashMap::new(),
            capacity: capacity.max(1),
        }
    }

    /// Begins an exchange, or goes on with one whose challenge still waits: a client that repeats its KNOCK,
    /// because the answer was late or lost, gets the same challenge again and may answer any of the two.
    pub fn begin(&mut self, key: PendingKey, operation: Operation, fresh: Pending, now: u64) -> &Exchange {
        let waits = self
            .by_key
            .get(&key)
            .is_some_and(|old| old.operation == operation && !old.done && now < old.pending.expires);
        if !waits {
            self.make_room(now);
            self.by_key.insert(
                key,
                Exchange {
                    operation,
                    pending: fresh,
                    done: false,
                },
            );
        }
        self.by_key.entry(key).or_insert(Exchange {
            operation,
            pending: fresh,
            done: false,
        })
    }

    /// The exchange, unless its time is over.
    #[must_use]
    pub fn get(&self, key: &PendingKey, now: u64) -> Option<Exchange> {
        let exchange = self.by_key.get(key)?;
        (now < exchange.pending.expires).then_some(*exchange)
    }

    /// The exchange has done what it was begun for, unless another one has taken its place meanwhile.
    pub fn finish(&mut self, key: &PendingKey, done: &Exchange) {
        if let Some(exchange) = self.by_key.get_mut(key)
            && exchange.pending.token == done.pending.token
        {
            exchange.done = true;
        }
    }

    /// The token that a RESPONSE has to answer.
    #[must_use]
    pub fn token(&self, key: &PendingKey, now: u64) -> Option<&Auth> {
        let exchange = self.by_key.get(key)?;
        (now < exchange.pending.expires).then_some(&exchange.pending.token)
    }

    /// Goes on with at most `capacity`, and with those only of users and resources that are kept.
    pub fn change(&mut self, capacity: usize, keeps: impl Fn(UserId, ResourceId) -> bool) {
        self.by_key.retain(|key, _| keeps(key.user, key.resource));
        self.capacity = capacity.max(1);
        while self.by_key.len() > self.capacity {
            self.drop_first();
        }
    }

    fn make_room(&mut self, now: u64) {
        if self.by_key.len() < self.capacity {
            return;
        }
        self.by_key.retain(|_, exchange| now < exchange.pending.expires);
        if self.by_key.len() >= self.capacity {
            self.drop_first();
        }
    }

    /// Forgets the one that lapses first.
    fn drop_first(&mut self) {
        let first = self
            .by_key
            .iter()
            .min_by_key(|(_, exchange)| exchange.pending.expires);
        if let Some(key) = first.map(|(key, _)| *key) {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use letmein_common::source::Address;

    fn key(port: u16) -> PendingKey {
        PendingKey::new(&Address::v4([192, 0, 2, 7]), port, UserId(1), ResourceId(2))
    }

    fn pending(token: u8, expires: u64) -> Pending {
        Pending {
            token: [token; 32],
            expires,
        }
    }

    #[test]
    fn a_repeated_knock_gets_the_same_challenge() {
        let mut exchanges = Exchanges::new(8);
        exchanges.begin(key(1), Operation::Knock, pending(1, 100), 0);
        let again = exchanges.begin(key(1), Operation::Knock, pending(2, 150), 50);
        assert_eq!(again.pending.token, [1; 32]);
        let other = exchanges.begin(key(1), Operation::Revoke, pending(3, 150), 50);
        assert_eq!(other.pending.token, [3; 32]);
    }

    #[test]
    fn a_done_or_lapsed_exchange_starts_anew() {
        let mut exchanges = Exchanges::new(8);
        exchanges.begin(key(1), Operation::Knock, pending(1, 100), 0);
        let exchange = exchanges.get(&key(1), 10).unwrap();
        exchanges.finish(&key(1), &exchange);
        assert_eq!(
            exchanges
                .begin(key(1), Operation::Knock, pending(2, 110), 10)
                .pending
                .token,
            [2; 32]
        );
        assert!(exchanges.get(&key(1), 110).is_none());
        assert_eq!(exchanges.token(&key(1), 110), None);
        assert_eq!(
            exchanges
                .begin(key(1), Operation::Knock, pending(3, 210), 110)
                .pending
                .token,
            [3; 32]
        );
    }

    #[test]
    fn the_bound_holds_and_the_oldest_makes_way() {
        let mut exchanges = Exchanges::new(2);
        for port in 1..=5 {
            exchanges.begin(key(port), Operation::Knock, pending(1, 100 + u64::from(port)), 0);
            assert!(exchanges.by_key.len() <= 2);
        }
        assert!(exchanges.token(&key(5), 0).is_some());
        assert!(exchanges.token(&key(1), 0).is_none());
    }

    #[test]
    fn a_change_keeps_what_it_says_and_no_more_than_there_is_room_for() {
        let mut exchanges = Exchanges::new(8);
        for port in 1..=3 {
            exchanges.begin(key(port), Operation::Knock, pending(1, 100 + u64::from(port)), 0);
        }
        exchanges.change(2, |user, resource| (user, resource) == (UserId(1), ResourceId(2)));
        assert!(exchanges.token(&key(1), 0).is_none());
        assert!(exchanges.token(&key(2), 0).is_some() && exchanges.token(&key(3), 0).is_some());
        exchanges.change(2, |_, resource| resource != ResourceId(2));
        assert!(exchanges.by_key.is_empty());
    }
}
