//! The gate's clock is set forward and back, as by a wrong time server, while somebody sends recorded knocks again.

use crate::scene::{CONTROL, Scene};
use letmein_tests::{
    gate::Gate,
    lab::Outcome,
    letmeind::Letmeind,
    nft::{Lease, leases},
    silent::{self, Draft},
    system_clock::SystemClock,
    wait::wait_until,
};
use std::time::Duration;

/// An hour in epochs of half a minute.
const HOUR: i64 = 120;

struct Stepped<'a> {
    scene: &'a Scene,
    gate: Gate,
    clock: SystemClock,
}

impl Stepped<'_> {
    fn send(&self, knock: &[u8]) {
        let control = CONTROL.parse().unwrap();
        silent::send(&self.scene.lab.client, control, &[knock]).unwrap();
    }

    fn count(&mut self, name: &str) -> u64 {
        let counters = self.gate.counters().unwrap();
        counters.get(name).copied().unwrap_or_default()
    }

    /// Sets the clock, and waits until a knock that is fresh by it is taken: what was over is gone by then.
    fn set(&mut self, offset: &str, hours: i64) {
        self.clock.set(offset).unwrap();
        self.gate.wait_for("the system clock was set").unwrap();
        self.fresh(hours, 0);
    }

    /// Knocks by a clock that is this many hours ahead, until it is taken, and returns what was.
    fn fresh(&mut self, hours: i64, lease_seconds: u32) -> [u8; 88] {
        let draft = Draft {
            ahead: hours * HOUR,
            lease_seconds,
            ..Draft::default()
        };
        let before = self.count("genuine");
        let mut knock = draft.seal();
        wait_until("a fresh knock is taken", || {
            knock = draft.seal();
            self.send(&knock);
            self.count("genuine") > before
        });
        knock
    }

    /// Sends a recorded knock again, and expects that this counts it.
    #[track_caller]
    fn replay(&mut self, knock: &[u8], counter: &str) {
        let before = (self.count("genuine"), self.count(counter));
        self.send(knock);
        let after = (self.count("genuine"), self.count(counter));
        assert_eq!(after, (before.0, before.1 + 1), "{counter}");
    }
}

/// At no step is a recorded knock taken again: neither one of the time that the clock goes back to, nor one of the time
/// that it had meanwhile.
#[test]
fn steps_bring_no_recorded_knock_back() {
    let scene = Scene::new();
    let mut stepped = start(&scene);
    let of_now = stepped.fresh(0, 0);
    stepped.set("+1h", 1);
    let of_later = stepped.fresh(1, 0);
    stepped.replay(&of_now, "unknown-tag");
    stepped.set("-1h", -1);
    stepped.replay(&of_now, "unknown-tag");
    stepped.replay(&of_later, "unknown-tag");
    stepped.set("+0s", 0);
    stepped.replay(&of_now, "replay");
    stepped.replay(&of_later, "unknown-tag");
    stepped.set("+1h", 1);
    stepped.replay(&of_now, "unknown-tag");
    stepped.replay(&of_later, "replay");
}

/// A lease runs by another clock, which nobody can set.
#[test]
fn steps_neither_prolong_nor_shorten_a_lease() {
    let scene = Scene::new();
    let mut stepped = start(&scene);
    stepped.fresh(0, 0);
    for (offset, hours) in [("+30d", 30 * 24), ("-30d", -30 * 24), ("+0s", 0)] {
        stepped.clock.set(offset).unwrap();
        stepped.gate.wait_for("the system clock was set").unwrap();
        assert_eq!(scene.port(), Outcome::Open, "{offset}");
        let left = held(&scene)[0].left;
        let hour = Duration::from_hours(1);
        assert!(left <= hour && left > hour / 2, "{offset}: {left:?}");
        // Nor does it matter what time it was when one began.
        stepped.fresh(hours, 2);
        wait_until("it has ended", || held(&scene).is_empty());
        assert_eq!(scene.port(), Outcome::Silent, "{offset}");
        stepped.fresh(hours, 0);
    }
}

fn held(scene: &Scene) -> Vec<Lease> {
    leases(&scene.lab.server, "letmein", "leases4").unwrap()
}

fn start(scene: &Scene) -> Stepped<'_> {
    let configuration = scene.configuration("rate = 0");
    let letmeind = Letmeind::new(&scene.lab.server, &configuration).unwrap();
    let clock = SystemClock::of(&letmeind).unwrap();
    let starter = clock.starter().unwrap();
    let starter: Vec<_> = starter.iter().map(String::as_str).collect();
    let gate = letmeind.under(&starter).start().unwrap();
    silent::settle(15);
    Stepped { scene, gate, clock }
}
