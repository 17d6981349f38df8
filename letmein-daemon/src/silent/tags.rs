//! The table of tags: what each stands for, and from when to when it is taken.
//!
//! A tag of epoch `e` is taken while the server's clock is in `e - 1`, `e` or `e + 1`. The table holds one epoch more,
//! so that the next one is there before it begins. Each entry carries its times, so the packet path needs nobody to
//! remove it in time.

use crate::{clock, config::Config};
use letmein_common::{
    ResourceId, UserId,
    maps::Tag,
    wire::silent::{EPOCH_SECONDS, Keys, epoch},
};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tracing::{info, warn};

const NANOS: i128 = 1_000_000_000;
/// How long an epoch lasts, in nanoseconds.
const EPOCH: i128 = EPOCH_SECONDS as i128 * NANOS;
/// Epochs in the table: the one before, this one, the next, and the one that becomes valid with that.
pub const EPOCHS: usize = 4;
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
    #[must_use]
    pub fn offset(self) -> i128 {
        nanos(self.wall) - i128::from(self.monotonic)
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
    /// No epoch is taken that begins earlier than this, in nanoseconds of the monotonic clock.
    not_before: Option<i128>,
    /// By their epochs.
    tags: BTreeMap<u64, Vec<u64>>,
    /// The clocks' offset that the entries' times were computed with.
    offset: Option<i128>,
}

impl TagTable {
    /// An empty table for everything that is permitted.
    ///
    /// Which knocks were accepted before `unknown_before` is not known, and none of them may be accepted again. Until
    /// then those of the running epoch and the next could be, so it has to be one that begins later.
    #[must_use]
    pub fn new(keys: &impl Keyring, unknown_before: Option<u64>) -> Self {
        Self {
            gate: keys.gate(),
            pairs: keys.pairs(),
            not_before: unknown_before.map(|then| i128::from(then) + EPOCH),
            tags: BTreeMap::new(),
            offset: None,
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
        let wanted: Vec<_> = (current.saturating_sub(1)..=current + 2)
            .filter(|epoch| {
                self.not_before
                    .is_none_or(|earliest| begin(*epoch) - offset >= earliest)
            })
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

    /// Sees whether the system clock was set. Then every entry's times are wrong, and all are made anew.
    fn notice(&mut self, now: Clock) -> bool {
        let offset = now.offset();
        match self.offset {
            Some(old) if (offset - old).abs() < STEP => return false,
            Some(old) => {
                let step = Duration::from_nanos(u64::try_from((offset - old).abs()).unwrap_or(u64::MAX));
                let direction = if offset > old { "forward" } else { "back" };
                warn!(
                    "the system clock was set {direction} by {step:.1?}; the tags of silent knocks follow it"
                );
            }
            None if self.not_before.is_some() => info!(
                "silent knocks are taken in {EPOCH_SECONDS} to {} s: there is no record of those that were accepted \
                 before, and an old one must not be taken again",
                2 * EPOCH_SECONDS
            ),
            None => {}
        }
        self.offset = Some(offset);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashMap, path::Path};

    const SECOND: u64 = 1_000_000_000;

    /// A table as the gate holds it, and a clock to turn.
    struct Scene {
        config: Config,
        table: TagTable,
        taken: HashMap<u64, Tag>,
        clock: Clock,
    }

    impl Scene {
        fn new(unknown_before: Option<u64>) -> Self {
            let key = "5a".repeat(32);
            let text = format!(
                "[gate]\nxdp = \"off\"\nsilent = true\nnumber = 7\n[resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\n\
                 [resources.web]\nid = \"2\"\nports = [\"tcp/443\"]\n\
                 [users.alice]\nid = \"1\"\nkey = \"{key}\"\nresources = [\"*\"]\n\
                 [users.bob]\nid = \"2\"\nkey = \"{key}\"\nresources = [\"web\"]\n"
            );
            let config = Config::parse(&text, Path::new("f"), Path::new("/")).unwrap();
            let mut scene = Self {
                table: TagTable::new(&config, unknown_before),
                config,
                taken: HashMap::new(),
                clock: Clock {
                    monotonic: 500 * SECOND,
                    wall: Duration::from_secs(3_000_003),
                },
            };
            scene.renew();
            scene
        }

        fn renew(&mut self) {
            for change in self.table.changes(&self.config, self.clock) {
                match change {
                    Change::Set(tag, entry) => drop(self.taken.insert(tag, entry)),
                    Change::Remove(tag) => drop(self.taken.remove(&tag)),
                }
                assert!(self.taken.len() <= EPOCHS * 3, "more than the map has room for");
            }
        }

        fn pass(&mut self, seconds: u64) {
            self.clock.monotonic += seconds * SECOND;
            self.clock.wall += Duration::from_secs(seconds);
        }

        /// The knocks that are taken now, by how many epochs the client's clock is off.
        fn accepted(&self) -> Vec<i64> {
            let now = epoch(self.clock.wall.as_secs());
            let is_taken = |off: &i64| {
                let epoch = now.saturating_add_signed(*off);
                let of = |user: u32, resource| {
                    let user = UserId(user);
                    let keys = self.config.user(user).unwrap().silent.as_ref().unwrap();
                    let tag = keys.tag(epoch, 7, user, ResourceId(resource));
                    self.taken
                        .get(&tag)
                        .is_some_and(|entry| entry.is_taken(self.clock.monotonic) && entry.user == user)
                };
                let permitted = [of(1, 1), of(1, 2), of(2, 2)];
                assert!(!of(2, 1), "bob may not open ssh");
                assert!(
                    permitted.iter().all(|one| *one == permitted[0]),
                    "{off}: {permitted:?}"
                );
                permitted[0]
            };
            (-4..=4).filter(is_taken).collect()
        }
    }

    #[test]
    fn no_valid_tag_is_ever_missing_and_no_other_is_taken() {
        let mut scene = Scene::new(None);
        for second in 0..200 {
            // As late as the daemon could be, and a moment later.
            assert_eq!(scene.accepted(), [-1, 0, 1], "after {second} s");
            if second % 20 == 0 {
                scene.renew();
                assert_eq!(scene.accepted(), [-1, 0, 1], "after {second} s, renewed");
            }
            scene.pass(1);
        }
    }

    #[test]
    fn entries_lapse_by_themselves() {
        let mut scene = Scene::new(None);
        scene.pass(30 * 4);
        assert!(scene.accepted().is_empty());
    }

    #[test]
    fn a_clock_that_was_set_is_followed() {
        let mut scene = Scene::new(None);
        for step in [1, 29, 31, 65, 86_400, -1, -45, -3600, -86_400] {
            let wall = scene.clock.wall.as_secs().saturating_add_signed(step);
            scene.clock.wall = Duration::from_secs(wall);
            scene.renew();
            assert_eq!(scene.accepted(), [-1, 0, 1], "{step} s");
            scene.pass(7);
            scene.renew();
            assert_eq!(scene.accepted(), [-1, 0, 1], "{step} s, and some more");
        }
    }

    #[test]
    fn without_a_record_no_epoch_is_taken_that_could_have_been_taken_before() {
        let mut scene = Scene::new(Some(500 * SECOND));
        // An earlier run could have taken the running epoch and the next.
        assert!(scene.accepted().is_empty());
        scene.pass(27);
        scene.renew();
        assert_eq!(scene.accepted(), [1]);
        scene.pass(30);
        scene.renew();
        assert_eq!(scene.accepted(), [0, 1]);
        scene.pass(30);
        scene.renew();
        assert_eq!(scene.accepted(), [-1, 0, 1]);
    }

    /// Then an epoch that is in the table already begins earlier than it seemed.
    #[test]
    fn nor_after_the_clock_was_set_forward() {
        let mut scene = Scene::new(Some(500 * SECOND));
        scene.pass(27);
        scene.renew();
        assert_eq!(scene.accepted(), [1]);
        scene.clock.wall += Duration::from_secs(30);
        scene.renew();
        assert_eq!(scene.accepted(), [1]);
        scene.pass(30);
        scene.renew();
        assert_eq!(scene.accepted(), [0, 1]);
    }
}
