//! The table of tags: what each stands for, and from when to when it is taken.
//!
//! A tag of epoch `e` is taken while the server's clock is in `e - 1`, `e` or `e + 1`. The table holds one epoch more,
//! so that the next one is there before it begins. Each entry carries its times, so the packet path needs nobody to
//! remove it in time.

use crate::{clock, config::Config};
use letmein_common::{
    ResourceId, UserId,
    maps::Tag,
    wire::silent::{EPOCH_SECONDS, epoch},
};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tracing::{info, warn};

const NANOS: i128 = 1_000_000_000;
/// How far the clocks may drift apart before it is called a step.
const STEP: i128 = NANOS / 2;

/// Both clocks, read at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub monotonic: u64,
    /// Time since 1970, as the system sees it.
    pub wall: Duration,
}

impl Clock {
    /// Reads them.
    #[must_use]
    pub fn now() -> Self {
        Self {
            monotonic: clock::monotonic(),
            // A clock before 1970 is as wrong as one in 1970.
            wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// What has to be added to the monotonic clock to get the time of day.
    fn offset(self) -> i128 {
        nanos(self.wall) - i128::from(self.monotonic)
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
    /// No epoch is taken that began earlier than this, in nanoseconds of the monotonic clock.
    not_before: i128,
    /// By their epochs.
    tags: BTreeMap<u64, Vec<u64>>,
    /// The clocks' offset that the entries' times were computed with.
    offset: Option<i128>,
}

impl TagTable {
    /// An empty table for everything that `config` permits.
    #[must_use]
    pub fn new(config: &Config, not_before: u64) -> Self {
        Self {
            gate: config.gate.number,
            pairs: config
                .permits()
                .iter()
                .map(|permit| (permit.user, permit.resource))
                .collect(),
            not_before: not_before.into(),
            tags: BTreeMap::new(),
            offset: None,
        }
    }

    /// What has to change now, in this order: new tags come before old ones go.
    pub fn changes<'a>(&'a mut self, config: &'a Config, now: Clock) -> impl Iterator<Item = Change> + 'a {
        let offset = self.notice(now);
        let current = epoch(now.wall.as_secs());
        let wanted = current.saturating_sub(1)..=current + 2;
        let missing: Vec<_> = wanted
            .clone()
            .filter(|epoch| !self.tags.contains_key(epoch) && self.is_allowed(*epoch, offset))
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
        for epoch in &missing {
            self.tags.insert(*epoch, Vec::with_capacity(self.pairs.len()));
        }
        let (gate, pairs, tags) = (self.gate, &self.pairs, &mut self.tags);
        missing
            .into_iter()
            .flat_map(move |epoch| pairs.iter().map(move |pair| (epoch, *pair)))
            .filter_map(move |(epoch, (user, resource))| {
                let keys = config.user(user)?.silent.as_ref()?;
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
            })
            .chain(removed.into_iter().map(Change::Remove))
    }

    /// Sees whether the system clock was set. Then every entry's times are wrong, and all are made anew.
    fn notice(&mut self, now: Clock) -> i128 {
        let offset = now.offset();
        match self.offset {
            Some(old) if (offset - old).abs() < STEP => return old,
            Some(old) => {
                let step = Duration::from_nanos(u64::try_from((offset - old).abs()).unwrap_or(u64::MAX));
                let direction = if offset > old { "forward" } else { "back" };
                warn!(
                    "the system clock was set {direction} by {step:.1?}; the tags of silent knocks follow it"
                );
                // Those of epochs that are wanted no more are removed below, the others are overwritten.
                let wanted = epoch(now.wall.as_secs()).saturating_sub(1);
                self.tags
                    .retain(|epoch, _| *epoch < wanted || *epoch > wanted + 3);
            }
            None if self.not_before > 0 => info!(
                "silent knocks are taken from the next epoch on, in at most {EPOCH_SECONDS} s: there is no record of \
                 those that were accepted before"
            ),
            None => {}
        }
        self.offset = Some(offset);
        offset
    }

    fn is_allowed(&self, epoch: u64, offset: i128) -> bool {
        begin(epoch) - offset >= self.not_before
    }
}

/// When an epoch begins, in nanoseconds since 1970.
fn begin(epoch: u64) -> i128 {
    i128::from(epoch) * i128::from(EPOCH_SECONDS) * NANOS
}

/// The same on the monotonic clock; what was before it started is its beginning.
fn monotonic(epoch: u64, offset: i128) -> u64 {
    u64::try_from(begin(epoch) - offset).unwrap_or(0)
}

fn nanos(duration: Duration) -> i128 {
    i128::from(duration.as_secs()) * NANOS + i128::from(duration.subsec_nanos())
}
