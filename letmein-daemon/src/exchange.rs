//! Exchanges over UDP that have got a challenge and still owe the response.
//!
//! Only a user who has proved a key with a salt not seen before gets an entry, and users share what room there is: when
//! it is full, whoever has the most entries loses the oldest of them.

use crate::fair::Table;
use letmein_common::{
    ResourceId, UserId,
    hmac::Auth,
    maps::{Pending, PendingKey},
    wire::challenge::Operation,
};

/// One exchange.
#[derive(Clone, Copy)]
pub struct Exchange {
    /// What it began with: KNOCK or REVOKE.
    pub operation: Operation,
    /// The challenge, and until when it may be answered.
    pub pending: Pending,
    /// What has become of its RESPONSE.
    pub progress: Progress,
}

/// What has become of a RESPONSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// None has come.
    Waiting,
    /// It proves the key, and is being acted upon: another one changes nothing.
    Acting,
    /// It was acted upon. A repeated one, after a lost COMEIN, is answered but changes nothing.
    Done,
}

/// All of them.
pub struct Exchanges(Table<UserId, PendingKey, Exchange>);

impl Exchanges {
    /// None yet, and at most `capacity`.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Table::new(capacity))
    }

    /// Begins an exchange, or goes on with one whose challenge still waits: a client that repeats its KNOCK,
    /// because the answer was late or lost, gets the same challenge again and may answer any of the two. Returns the
    /// challenge.
    pub fn begin(&mut self, key: PendingKey, operation: Operation, fresh: Pending, now: u64) -> Pending {
        if let Some(old) = self.0.get(&key)
            && old.operation == operation
            && old.progress != Progress::Done
            && now < old.pending.expires
        {
            return old.pending;
        }
        let exchange = Exchange {
            operation,
            pending: fresh,
            progress: Progress::Waiting,
        };
        // They lapse in the order in which they began.
        while let Some((lapsed, oldest)) = self.0.oldest()
            && now >= oldest.pending.expires
        {
            let lapsed = *lapsed;
            self.0.remove(&lapsed);
        }
        self.0.insert(key.user, key, exchange);
        self.shed();
        fresh
    }

    /// The exchange, unless its time is over.
    #[must_use]
    pub fn get(&self, key: &PendingKey, now: u64) -> Option<Exchange> {
        let exchange = self.0.get(key)?;
        (now < exchange.pending.expires).then_some(*exchange)
    }

    /// The exchange has come this far, unless another one has taken its place meanwhile.
    pub fn advance(&mut self, key: &PendingKey, exchange: &Exchange, progress: Progress) {
        if let Some(found) = self.0.get_mut(key)
            && found.pending.token == exchange.pending.token
        {
            found.progress = progress;
        }
    }

    /// The token that a RESPONSE has to answer.
    #[must_use]
    pub fn token(&self, key: &PendingKey, now: u64) -> Option<&Auth> {
        let exchange = self.0.get(key)?;
        (now < exchange.pending.expires).then_some(&exchange.pending.token)
    }

    /// Goes on with at most `capacity`, and with those only of users and resources that are kept.
    pub fn change(&mut self, capacity: usize, keeps: impl Fn(UserId, ResourceId) -> bool) {
        self.0.retain(|key| keeps(key.user, key.resource));
        self.0.change(capacity);
        self.shed();
    }

    fn shed(&mut self) {
        while self.0.shed().is_some() {}
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
        assert_eq!(again.token, [1; 32]);
        let other = exchanges.begin(key(1), Operation::Revoke, pending(3, 150), 50);
        assert_eq!(other.token, [3; 32]);
    }

    #[test]
    fn a_done_or_lapsed_exchange_starts_anew() {
        let mut exchanges = Exchanges::new(8);
        exchanges.begin(key(1), Operation::Knock, pending(1, 100), 0);
        let exchange = exchanges.get(&key(1), 10).unwrap();
        exchanges.advance(&key(1), &exchange, Progress::Done);
        assert_eq!(
            exchanges
                .begin(key(1), Operation::Knock, pending(2, 110), 10)
                .token,
            [2; 32]
        );
        assert!(exchanges.get(&key(1), 110).is_none());
        assert_eq!(exchanges.token(&key(1), 110), None);
        assert_eq!(
            exchanges
                .begin(key(1), Operation::Knock, pending(3, 210), 110)
                .token,
            [3; 32]
        );
    }

    #[test]
    fn the_bound_holds_and_the_oldest_makes_way() {
        let mut exchanges = Exchanges::new(2);
        for port in 1..=5 {
            exchanges.begin(key(port), Operation::Knock, pending(1, 100 + u64::from(port)), 0);
            assert!(exchanges.0.len() <= 2);
        }
        assert!(exchanges.token(&key(5), 0).is_some());
        assert!(exchanges.token(&key(1), 0).is_none());
    }

    /// What is beyond the bound is the greedy user's, whoever comes last.
    #[test]
    fn a_users_exchanges_make_way_for_nobody_elses() {
        let mut exchanges = Exchanges::new(8);
        let alice = key(1);
        exchanges.begin(alice, Operation::Knock, pending(7, 1000), 0);
        for port in 2..500 {
            let mallory = PendingKey {
                user: UserId(13),
                ..key(port)
            };
            exchanges.begin(mallory, Operation::Knock, pending(1, 1000), 0);
            assert!(exchanges.token(&mallory, 0).is_some());
        }
        assert_eq!(exchanges.token(&alice, 0), Some(&[7; 32]));
        assert_eq!(exchanges.0.len(), 8);
    }

    #[test]
    fn what_has_lapsed_takes_no_room() {
        let mut exchanges = Exchanges::new(8);
        for port in 1..=5 {
            exchanges.begin(key(port), Operation::Knock, pending(1, 100), 0);
        }
        exchanges.begin(key(6), Operation::Knock, pending(1, 200), 100);
        assert_eq!(exchanges.0.len(), 1);
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
        assert!(exchanges.0.is_empty());
    }
}
