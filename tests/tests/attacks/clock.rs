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
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, sendto, socket,
};
use std::{
    os::fd::AsRawFd as _,
    thread::sleep,
    time::{Duration, Instant},
};

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

    /// Knocks by a clock that is this many hours ahead, until it is taken, and returns what was.
    fn fresh(&mut self, hours: i64, lease_seconds: u32) -> [u8; 88] {
        // After a step forward it takes a minute.
        let deadline = Instant::now() + Duration::from_mins(3);
        let draft = Draft {
            ahead: hours * HOUR,
            lease_seconds,
            ..Draft::default()
        };
        let before = self.count("genuine");
        loop {
            let knock = draft.seal();
            self.send(&knock);
            if self.count("genuine") > before {
                return knock;
            }
            assert!(Instant::now() < deadline, "no fresh knock is taken");
            sleep(Duration::from_millis(100));
        }
    }

    /// Sends a recorded knock again, and expects that it is refused for one of these reasons.
    #[track_caller]
    fn replay(&mut self, knock: &[u8], reasons: &[&str]) {
        let mut counted = || {
            let counters = self.gate.counters().unwrap();
            let count = |name: &&str| counters.get(*name).copied().unwrap_or_default();
            (count(&"genuine"), reasons.iter().map(count).sum::<u64>())
        };
        let before = counted();
        silent::send(&self.scene.lab.client, CONTROL.parse().unwrap(), &[knock]).unwrap();
        assert_eq!(counted(), (before.0, before.1 + 1), "{reasons:?}");
    }

    /// Sets the clock, and waits until that is noticed.
    fn step(&mut self, offset: &str, direction: &str) {
        self.clock.set(offset).unwrap();
        let text = format!("the system clock was set {direction}");
        self.gate.wait_for(&text).unwrap();
    }
}

/// At no step is a recorded knock taken again: neither one of the time that the clock goes back to, nor one of the time
/// that it had meanwhile.
#[test]
fn steps_bring_no_recorded_knock_back() {
    let any = ["replay", "unknown-tag"];
    let scene = Scene::new();
    let mut stepped = start(&scene);
    let of_now = stepped.fresh(0, 0);
    stepped.step("-1h", "back");
    let of_earlier = stepped.fresh(-1, 0);
    stepped.replay(&of_now, &["unknown-tag"]);
    stepped.replay(&of_earlier, &any);
    stepped.step("+0s", "forward");
    stepped.replay(&of_now, &any);
    stepped.replay(&of_earlier, &["unknown-tag"]);
    stepped.step("-1h", "back");
    stepped.replay(&of_earlier, &any);
}

/// As on a machine that was restored from a snapshot, whose record of accepted knocks is out of date, and whose clock is
/// then put right: what could have been accepted before is not taken, though the record says nothing of it.
#[test]
fn after_a_step_forward_only_new_knocks_are_taken() {
    let scene = Scene::new();
    let mut stepped = start(&scene);
    stepped.fresh(0, 0);
    stepped.step("+1h", "forward");
    wait_until("knocks of this time are not taken", || {
        let draft = Draft {
            ahead: HOUR,
            ..Draft::default()
        };
        let before = stepped.count("unknown-tag");
        stepped.send(&draft.seal());
        stepped.count("unknown-tag") > before
    });
    stepped.fresh(1, 0);
}

/// A lease runs by another clock, which nobody can set.
#[test]
fn steps_neither_prolong_nor_shorten_a_lease() {
    let scene = Scene::new();
    let mut stepped = start(&scene);
    stepped.fresh(0, 0);
    let open = |stepped: &Stepped<'_>, time: &str| {
        let opened = stepped.gate.operate("open", &["ssh", "10.77.1.2", "--for", time]);
        assert!(opened.unwrap().status.success());
    };
    for (offset, direction) in [("+30d", "forward"), ("-30d", "back"), ("+0s", "forward")] {
        stepped.step(offset, direction);
        assert_eq!(scene.port(), Outcome::Open, "{offset}");
        let left = held(&scene)[0].left;
        let hour = Duration::from_hours(1);
        assert!(left <= hour && left > hour / 2, "{offset}: {left:?}");
    }
    // Nor does it matter what time it was when one began.
    assert!(stepped.gate.operate("revoke", &["all"]).unwrap().status.success());
    stepped.step("-30d", "back");
    open(&stepped, "2s");
    wait_until("it has ended", || held(&scene).is_empty());
    assert_eq!(scene.port(), Outcome::Silent);
}

/// `until` is a time of day, so it is looked at again when the clock was set.
#[test]
fn a_user_whose_time_is_over_by_a_clock_that_was_set_is_out() {
    let scene = Scene::new();
    let users = "resources = [\"ssh\"]\n";
    let configuration = scene
        .configuration("rate = 0")
        .replace(users, &format!("{users}until = \"2040-12-31T12:00:00Z\"\n"));
    let mut stepped = start_with(&scene, &configuration);
    stepped.fresh(0, 0);
    let opened = stepped.gate.operate("open", &["ssh", "10.77.1.9"]).unwrap();
    assert!(opened.status.success());
    assert_eq!((scene.port(), held(&scene).len()), (Outcome::Open, 2));
    stepped.clock.set("+15y").unwrap();
    stepped
        .gate
        .wait_for("closed 1 leases of users whose time is over")
        .unwrap();
    // That of the operator is nobody's whose time is over.
    assert_eq!((scene.port(), held(&scene).len()), (Outcome::Silent, 1));
    // Nor does it come back with the time.
    stepped.step("+0s", "back");
    assert_eq!((scene.port(), held(&scene).len()), (Outcome::Silent, 1));
}

/// The kernel says so, on a virtual machine that has a generation id.
#[test]
fn a_machine_that_was_restored_from_a_snapshot_closes_all() {
    let scene = Scene::new();
    let mut stepped = start(&scene);
    let recorded = stepped.fresh(0, 0);
    assert_eq!(scene.port(), Outcome::Open);
    scene.lab.server.enter(announce_new_generation).unwrap();
    stepped.gate.wait_for("restored from a snapshot").unwrap();
    assert!(held(&scene).is_empty());
    assert_eq!(scene.port(), Outcome::Silent);
    // It is not for its nonce that it is refused.
    let genuine = stepped.count("genuine");
    wait_until("knocks of this time are not taken", || {
        let before = stepped.count("unknown-tag");
        stepped.send(&recorded);
        stepped.count("unknown-tag") > before
    });
    assert_eq!(stepped.count("genuine"), genuine);
    stepped.fresh(0, 0);
}

/// What the kernel sends then to who listens in this network namespace.
fn announce_new_generation() {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkKObjectUEvent,
    )
    .unwrap();
    let text = b"change@/devices/gen\0ACTION=change\0DEVPATH=/devices/gen\0SUBSYSTEM=acpi\0NEW_VMGENID=1\0";
    let everybody = NetlinkAddr::new(0, 1);
    // The kernel itself listens as well, and refuses.
    let _refused = sendto(socket.as_raw_fd(), text, &everybody, MsgFlags::empty());
}

fn held(scene: &Scene) -> Vec<Lease> {
    leases(&scene.lab.server, "letmein", "leases4").unwrap()
}

fn start(scene: &Scene) -> Stepped<'_> {
    start_with(scene, &scene.configuration("rate = 0"))
}

fn start_with<'a>(scene: &'a Scene, configuration: &str) -> Stepped<'a> {
    let letmeind = Letmeind::new(&scene.lab.server, configuration).unwrap();
    let clock = SystemClock::of(&letmeind).unwrap();
    let starter = clock.starter().unwrap();
    let starter: Vec<_> = starter.iter().map(String::as_str).collect();
    let gate = letmeind.under(&starter).start().unwrap();
    silent::settle(15);
    Stepped { scene, gate, clock }
}
