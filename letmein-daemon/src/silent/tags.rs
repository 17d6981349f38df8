//! The table of tags: what each stands for, and from when to when it is taken.
//!
//! A tag of epoch `e` is taken while the server's clock is in `e - 1`, `e` or `e + 1`. The table holds one epoch more,
//! so that the next one is there before it begins. Each entry carries its times, so the packet path needs nobody to
//! remove it in time.

#[cfg(test)]
mod tests;

use crate::{clock, config::Config};
use letmein_common::{
    ResourceId, UserId,
    maps::Tag,
    wire::silent::{EPOCH_SECONDS, Keys, epoch},
};
use std::{
    cell::Cell,
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tracing::{info, warn};

const NANOS: i128 = 1_000_000_000;
/// How long an epoch lasts, in nanoseconds.
const EPOCH: i128 = EPOCH_SECONDS as i128 * NANOS;
const EPOCH_NANOS: u64 = EPOCH_SECONDS * 1_000_000_000;
/// Epochs in the table: the one before, this one, the next, and the one that becomes valid with that.
pub const EPOCHS: usize = 4;
/// How far the clocks may drift apart before it is called a step.
const STEP: i128 = NANOS / 2;

/// The clocks, read at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub monotonic: u64,
    /// What that leaves out: how long the machine has been suspended, in nanoseconds.
    pub asleep: u64,
    /// Time since 1970, as the system sees it.
    pub wall: Duration,
}

impl Clock {
    /// Reads them.
    #[must_use]
    pub fn now() -> Self {
        Self {
            monotonic: clock::monotonic(),
            asleep: clock::asleep(),
            // A clock before 1970 is as wrong as one in 1970.
            wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// What has to be added to the monotonic clock to get the time of day.
    #[must_use]
    pub fn offset(self) -> i128 {
        nanos(self.wall) - i128::from(self.monotonic)
    }

    /// The same, if the monotonic clock had gone on while the machine was suspended. What changes this is no suspension.
    fn set_by(self) -> i128 {
        self.offset() - i128::from(self.asleep)
    }
}

/// Until when nobody knows which silent knocks were accepted, in nanoseconds of `CLOCK_MONOTONIC`; none if all are known.
/// Shared by all who may learn of it.
#[derive(Clone, Debug, Default)]
pub struct Unknown(Rc<Cell<Option<u64>>>);

impl Unknown {
    /// What was accepted before this time is not known, if there is one.
    #[must_use]
    pub fn before(time: Option<u64>) -> Self {
        Self(Rc::new(Cell::new(time)))
    }

    /// The time.
    #[must_use]
    pub fn get(&self) -> Option<u64> {
        self.0.get()
    }

    /// Nor is what was accepted up to now.
    pub fn doubt(&self, now: u64) {
        self.0.set(Some(now));
    }
}

/// Whose knocks there may be, and their keys.
pub trait Keyring {
    /// The number that tells this gate from others.
    fn gate(&self) -> u32;
    /// Every user with every resource that the user may open.
    fn pairs(&self) -> Vec<(UserId, ResourceId)>;
    /// The keys of a user.
    fn silent_keys(&self, user: UserId) -> Option<&Keys>;
}

impl Keyring for Config {
    fn gate(&self) -> u32 {
        self.gate.number
    }

    fn pairs(&self) -> Vec<(UserId, ResourceId)> {
        let permits = self.permits().into_iter();
        permits.map(|permit| (permit.user, permit.resource)).collect()
    }

    fn silent_keys(&self, user: UserId) -> Option<&Keys> {
        self.user(user)?.silent.as_deref()
    }
}

/// A change of the table.
pub enum Change {
    /// This tag stands for this.
    Set(u64, Tag),
    /// This tag is over.
    Remove(u64),
}

/// What is in the table.
pub struct TagTable {
    gate: u32,
    pairs: Vec<(UserId, ResourceId)>,
    unknown: Unknown,
    /// By their epochs.
    tags: BTreeMap<u64, Vec<u64>>,
    /// The clocks' offset that the entries' times were computed with.
    offset: Option<i128>,
    /// The same without suspensions: see [`Clock::set_by`].
    set_by: i128,
}

impl TagTable {
    /// An empty table for everything that is permitted.
    ///
    /// None of the knocks that were accepted when that was `unknown` may be accepted again. At its end those of the
    /// running epoch and the next could have been, so it has to be an epoch that begins later.
    #[must_use]
    pub fn new(keys: &impl Keyring, unknown: Unknown) -> Self {
        Self {
            gate: keys.gate(),
            pairs: keys.pairs(),
            unknown,
            tags: BTreeMap::new(),
            offset: None,
            set_by: 0,
        }
    }

    /// What has to change now, in this order: what is over goes first, so there is room for what is new. Nobody misses
    /// it, as its time is over by its own entry, too.
    pub fn changes<'a>(
        &'a mut self,
        keys: &'a impl Keyring,
        now: Clock,
    ) -> impl Iterator<Item = Change> + 'a {
        let stepped = self.notice(now);
        let offset = self.offset.unwrap_or_default();
        let current = epoch(now.wall.as_secs());
        // On the monotonic clock.
        let not_before = self.unknown.get().map(|then| i128::from(then) + EPOCH);
        let wanted: Vec<_> = (current.saturating_sub(1)..=current + 2)
            .filter(|epoch| not_before.is_none_or(|earliest| begin(*epoch) - offset >= earliest))
            .collect();
        let over: Vec<_> = self
            .tags
            .keys()
            .copied()
            .filter(|epoch| !wanted.contains(epoch))
            .collect();
        let removed: Vec<_> = over
            .iter()
            .filter_map(|epoch| self.tags.remove(epoch))
            .flatten()
            .collect();
        let new: Vec<_> = wanted
            .into_iter()
            .filter(|epoch| stepped || !self.tags.contains_key(epoch))
            .collect();
        for epoch in &new {
            self.tags.insert(*epoch, Vec::with_capacity(self.pairs.len()));
        }
        let (gate, pairs, tags) = (self.gate, &self.pairs, &mut self.tags);
        let set = new
            .into_iter()
            .flat_map(move |epoch| pairs.iter().map(move |pair| (epoch, *pair)))
            .filter_map(move |(epoch, (user, resource))| {
                let keys = keys.silent_keys(user)?;
                let tag = keys.tag(epoch, gate, user, resource);
                tags.entry(epoch).or_default().push(tag);
                let entry = Tag {
                    check: keys.check.clone(),
                    from: monotonic(epoch.saturating_sub(1), offset),
                    until: monotonic(epoch + 2, offset),
                    user,
                    resource,
                };
                Some(Change::Set(tag, entry))
            });
        removed.into_iter().map(Change::Remove).chain(set)
    }

    /// Sees whether the clocks have moved against each other. Then every entry's times are wrong, and all are made anew.
    ///
    /// A system clock that was set forward may have been put right after the machine was restored from a snapshot, and
    /// with it the record of accepted knocks. So nobody knows any more which were accepted.
    fn notice(&mut self, now: Clock) -> bool {
        let (offset, set_by) = (now.offset(), now.set_by());
        let soon = format!(
            "silent knocks are taken in {EPOCH_SECONDS} to {} s",
            2 * EPOCH_SECONDS
        );
        match self.offset {
            Some(old) if (offset - old).abs() < STEP => return false,
            Some(_) => {
                let set = set_by - self.set_by;
                let step = Duration::from_nanos(u64::try_from(set.abs()).unwrap_or(u64::MAX));
                if set >= STEP {
                    warn!(
                        event = "clock-set",
                        "the system clock was set forward by {step:.1?}: {soon}, as the machine may have been restored \
                         from a snapshot, with a record of accepted knocks that is out of date"
                    );
                    self.unknown.doubt(now.monotonic);
                } else if set <= -STEP {
                    warn!(
                        event = "clock-set",
                        "the system clock was set back by {step:.1?}; the tags of silent knocks follow it"
                    );
                }
            }
            None if self
                .unknown
                .get()
                .is_some_and(|then| now.monotonic < then.saturating_add(2 * EPOCH_NANOS)) =>
            {
                info!(
                    "{soon}: there is no record of those that were accepted before, and an old one must not be taken again"
                );
            }
            None => {}
        }
        self.offset = Some(offset);
        self.set_by = set_by;
        true
    }
}

/// When an epoch begins, in nanoseconds since 1970.
fn begin(epoch: u64) -> i128 {
    i128::from(epoch) * EPOCH
}

/// The same on the monotonic clock; what was before it started is its beginning.
fn monotonic(epoch: u64, offset: i128) -> u64 {
    u64::try_from(begin(epoch) - offset).unwrap_or(0)
}

fn nanos(duration: Duration) -> i128 {
    i128::from(duration.as_secs()) * NANOS + i128::from(duration.subsec_nanos())
}
