//! A gate on trial that is not confirmed: what was attached before is attached again.

use crate::scene::Scene;
use letmein_tests::lab::Outcome;
use std::process::Stdio;

/// `letmeind run --confirm`, until it has put everything back.
#[track_caller]
fn not_confirmed(scene: &Scene, configuration: &str) {
    let letmeind = scene.letmeind(configuration);
    let mut command = letmeind.command("run").unwrap();
    let output = command
        .args(["--confirm", "3s"])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    eprintln!("{log}");
    assert!(
        log.contains("ready") && log.contains("everything was put back"),
        "{log}"
    );
}

#[test]
fn nothing_was_attached() {
    let scene = Scene::new();
    not_confirmed(&scene, &scene.configuration("silent = true"));
    assert_eq!(scene.program("to-peer1"), None);
    assert_eq!(scene.pins(), Vec::<String>::new());
    assert_eq!(scene.stranger_meets(), Outcome::Open);
}

#[test]
fn a_shield_was_there() {
    let scene = Scene::new();
    scene.with_guest().kill().unwrap();
    let before = [scene.program("to-peer1"), scene.program("to-peer2")];
    let pins = scene.pins();
    let usual = scene.configuration("");
    for other in [
        usual.replace("tcp/22", "tcp/2222"),
        usual.replace(", \"to-peer2\"", ""),
        scene.configuration("xdp = \"generic\""),
        scene.configuration("xdp = \"off\""),
        scene.configuration("seen-salts = 1000"),
    ] {
        not_confirmed(&scene, &other);
        assert_eq!(
            [scene.program("to-peer1"), scene.program("to-peer2")],
            before,
            "{other}"
        );
        assert_eq!(scene.guest_meets(), Outcome::Open, "{other}");
        assert_eq!(scene.stranger_meets(), Outcome::Silent, "{other}");
        assert_eq!(scene.pins().len(), pins.len(), "{other}");
    }
    let gate = scene
        .letmeind(&usual)
        .start_and_wait_for("attached to to-peer2, in the place of the one before")
        .unwrap();
    assert_eq!(scene.pins(), pins);
    assert_eq!(scene.guest_meets(), Outcome::Open);
    drop(gate);
}
