//! letmeind restarts on a machine that has slept meanwhile. A time namespace moves the clock that goes on in sleep
//! (`CLOCK_BOOTTIME`), and not the one that stands still, just as sleep does.

use crate::scene::Scene;
use letmein_tests::{gate::Gate, lab::Outcome, nft::leases, wait::wait_until};
use std::{fs, path::Path, time::Duration};

/// Starts letmeind after so many seconds of sleep.
fn start(scene: &Scene, seconds: u32, expected: &str) -> Gate {
    let offset = seconds.to_string();
    let under = [
        "unshare",
        "--time",
        "--boottime",
        &offset,
        "--fork",
        "--kill-child=SIGKILL",
    ];
    let letmeind = scene.letmeind(&scene.configuration("")).under(&under);
    letmeind.start_and_wait_for(expected).unwrap()
}

/// Ends it. It is a child of what was started.
fn end(gate: Gate) {
    let pid = gate.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    gate.kill().unwrap();
    for child in children.split_whitespace() {
        wait_until("it has ended", || !Path::new(&format!("/proc/{child}")).exists());
    }
}

fn left(scene: &Scene) -> Vec<Duration> {
    let held = leases(&scene.lab.server, "letmein", "leases4").unwrap();
    held.iter().map(|lease| lease.left).collect()
}

#[test]
fn a_lease_ends_as_if_the_machine_had_been_awake() {
    let scene = Scene::new();
    scene.with_guest().stop().unwrap();
    let half = Duration::from_mins(30);
    assert!(left(&scene)[0] > half);

    let gate = start(&scene, 1800, "the machine was suspended for 1800");
    assert!(left(&scene)[0] <= half, "{:?}", left(&scene));
    assert_eq!(scene.guest_meets(), Outcome::Open);
    end(gate);

    // What was taken off is not taken off again.
    let gate = start(&scene, 1800, "leases of an earlier run go on");
    let now = left(&scene)[0];
    assert!(now <= half && now > half / 2, "{now:?}");
    end(gate);

    let gate = start(&scene, 5400, "which closed 1");
    assert_eq!(left(&scene), []);
    assert_eq!(scene.guest_meets(), Outcome::Silent);
    end(gate);
}

/// A clock that has gone back says nothing about how long a lease may last.
#[test]
fn in_doubt_a_lease_is_closed() {
    let scene = Scene::new();
    let gate = start(&scene, 1800, "");
    scene.knock(&gate);
    assert_eq!(scene.guest_meets(), Outcome::Open);
    end(gate);
    let gate = scene
        .letmeind(&scene.configuration(""))
        .start_and_wait_for("nobody knows how long the machine was suspended")
        .unwrap();
    assert_eq!(left(&scene), []);
    assert_eq!(scene.guest_meets(), Outcome::Silent);
    gate.stop().unwrap();
}
