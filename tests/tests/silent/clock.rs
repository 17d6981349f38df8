//! Clocks that are wrong, and clocks that are set. Needs `faketime`, which turns the clock of one program only.

use crate::scene::Scene;
use letmein_tests::{gate::KEY, lab::Outcome, letmeind::Letmeind, system_clock::SystemClock};
use std::time::{Duration, Instant};

#[test]
fn a_client_may_be_half_a_minute_off_and_no_more() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    for off in ["-29s", "+29s"] {
        let faketime = ["faketime", "--exclude-monotonic", "-f", off];
        scene
            .letmein(&faketime, &KEY, "", &["knock", "gate", "ssh", "--wait"])
            .said("is open, after ");
        scene
            .letmein(&[], &KEY, "", &["revoke", "gate", "ssh"])
            .said("sent");
        gate.wait_for("alice closed ssh").unwrap();
    }
    for off in ["-61s", "+61s"] {
        let faketime = ["faketime", "--exclude-monotonic", "-f", off];
        let run = scene.letmein(&faketime, &KEY, "", &["knock", "gate", "ssh", "--wait", "700ms"]);
        assert_eq!(run.code, Some(3), "{off}: {run:?}");
    }
    assert_eq!(scene.port(), Outcome::Silent);
}

/// The clock of a running letmeind is set: it says so, and goes by the new time.
#[test]
fn a_server_whose_clock_is_set_goes_by_the_new_time() {
    let scene = Scene::new();
    let letmeind = Letmeind::new(&scene.lab.server, &scene.configuration("", "1h")).unwrap();
    let clock = SystemClock::of(&letmeind).unwrap();
    let starter = clock.starter().unwrap();
    let starter: Vec<_> = starter.iter().map(String::as_str).collect();
    let mut gate = letmeind.under(&starter).start().unwrap();
    for (step, direction) in [("+1h", "forward"), ("-1d", "back")] {
        clock.set(step).unwrap();
        gate.wait_for(&format!("the system clock was set {direction}"))
            .unwrap();
        let run = scene.letmein(&[], &KEY, "", &["knock", "gate", "ssh", "--wait", "700ms"]);
        assert_eq!(run.code, Some(3), "{run:?}");
        let faketime = ["faketime", "--exclude-monotonic", "-f", step];
        // After a step forward, knocks have to be from an epoch that begins later: that is 30 to 60 s.
        let deadline = Instant::now() + Duration::from_mins(2);
        while scene
            .letmein(&faketime, &KEY, "", &["knock", "gate", "ssh", "--wait", "700ms"])
            .code
            != Some(0)
        {
            assert!(Instant::now() < deadline, "no knock is taken after {step}");
        }
        scene
            .letmein(&faketime, &KEY, "", &["revoke", "gate", "ssh"])
            .said("sent");
        gate.wait_for("alice closed ssh").unwrap();
    }
}
