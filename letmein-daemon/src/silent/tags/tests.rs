//! A clock to turn, and a table that follows it.

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
            table: TagTable::new(&config, Unknown::before(unknown_before)),
            config,
            taken: HashMap::new(),
            clock: Clock {
                monotonic: 500 * SECOND,
                asleep: 7 * SECOND,
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
        if step > 0 {
            // Only what nobody can have sent before the step is taken after it.
            assert!(!scene.accepted().contains(&-1), "{step} s");
            for _ in 0..3 {
                scene.pass(30);
                scene.renew();
            }
        }
        assert_eq!(scene.accepted(), [-1, 0, 1], "{step} s");
        scene.pass(7);
        scene.renew();
        assert_eq!(scene.accepted(), [-1, 0, 1], "{step} s, and some more");
    }
}

/// Sleep is no reason to doubt: the record is as it was.
#[test]
fn a_machine_that_slept_takes_silent_knocks_at_once() {
    let mut scene = Scene::new(None);
    scene.clock.asleep += 3600 * SECOND;
    scene.clock.wall += Duration::from_hours(1);
    scene.renew();
    assert_eq!(scene.accepted(), [-1, 0, 1]);
}

/// As when the machine says that it was restored from a snapshot: what was taken up to then is taken no more.
#[test]
fn who_doubts_takes_only_what_nobody_can_have_sent_before() {
    let mut scene = Scene::new(None);
    assert_eq!(scene.accepted(), [-1, 0, 1]);
    scene.table.unknown.doubt(scene.clock.monotonic);
    scene.renew();
    assert!(scene.accepted().is_empty());
    for accepted in [&[1][..], &[0, 1], &[-1, 0, 1]] {
        scene.pass(30);
        scene.renew();
        assert_eq!(scene.accepted(), accepted);
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
