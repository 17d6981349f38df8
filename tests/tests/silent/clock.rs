//! Clocks that are wrong, and clocks that are set. Needs `faketime`, which turns the clock of one program only.

use crate::scene::Scene;
use letmein_tests::{gate::KEY, lab::Outcome, letmeind::Letmeind};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

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
    let folder = TempDir::new().unwrap();
    let offset = folder.path().join("offset");
    fs::write(&offset, "+0s").unwrap();
    let settings = [
        format!("FAKETIME_TIMESTAMP_FILE={}", offset.display()),
        format!("LD_PRELOAD={}", library().display()),
        // The clock in the file is looked at each time, and only the time of day is changed.
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
    ];
    let env: Vec<_> = ["env"]
        .into_iter()
        .chain(settings.iter().map(String::as_str))
        .collect();
    let letmeind = Letmeind::new(&scene.lab.server, &scene.configuration("", "1h")).unwrap();
    let mut gate = letmeind.under(&env).start().unwrap();
    for (step, direction) in [("+1h", "forward"), ("-1d", "back")] {
        fs::write(&offset, step).unwrap();
        gate.wait_for(&format!("the system clock was set {direction}"))
            .unwrap();
        let run = scene.letmein(&[], &KEY, "", &["knock", "gate", "ssh", "--wait", "700ms"]);
        assert_eq!(run.code, Some(3), "{run:?}");
        let faketime = ["faketime", "--exclude-monotonic", "-f", step];
        scene
            .letmein(&faketime, &KEY, "", &["knock", "gate", "ssh", "--wait"])
            .said("is open, after ");
        scene
            .letmein(&faketime, &KEY, "", &["revoke", "gate", "ssh"])
            .said("sent");
        gate.wait_for("alice closed ssh").unwrap();
    }
}

/// Debian has it in a folder of the processor's.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap();
    folders
        .filter_map(Result::ok)
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
        .unwrap()
}
