//! The latest things that happened to leases, for operators to see.

use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// How many are kept.
const KEPT: usize = 64;

/// Something that somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    at: Instant,
    /// A user's name, or `operator (uid 0)`.
    pub who: String,
    /// `opened`, `closed`, `revoked`.
    pub what: &'static str,
    /// The resource, or all of somebody's.
    pub resource: String,
    /// For whom.
    pub address: String,
}

impl Event {
    /// How long ago it was.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

/// The latest first.
#[derive(Default)]
pub(super) struct Recent(VecDeque<Event>);

impl Recent {
    pub fn note(&mut self, who: &str, what: &'static str, resource: &str, address: String) {
        self.0.truncate(KEPT - 1);
        self.0.push_front(Event {
            at: Instant::now(),
            who: who.to_owned(),
            what,
            resource: resource.to_owned(),
            address,
        });
    }

    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept() {
        let mut recent = Recent::default();
        for number in 0..KEPT + 3 {
            recent.note("alice", "opened", &number.to_string(), String::new());
        }
        let kept: Vec<_> = recent.iter().map(|event| event.resource.clone()).collect();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0], (KEPT + 2).to_string());
    }
}
