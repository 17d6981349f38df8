//! Interfaces that the XDP program does not run on.

use crate::scene::{Scene, Way};
use letmein_tests::{gate::Gate, lab::Outcome, silent};
use serde_json::Value;

fn unheard(gate: &Gate) -> Value {
    let output = gate.operate("status", &["--json"]).unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    status["unheard"].clone()
}

fn check(scene: &Scene, gate: &str) -> String {
    scene.letmeind(&["to-peer1"], gate).check().unwrap()
}

/// A silent knock that comes by another interface does nothing, and the log says so.
#[test]
fn a_silent_knock_is_told_of() {
    let scene = Scene::new();
    let said = "silent knocks are not heard on to-peer2, as the XDP program does not run there";
    assert!(check(&scene, "").contains(said));
    let mut gate = scene
        .letmeind(&["to-peer1"], "")
        .start_and_wait_for(said)
        .unwrap();
    assert_eq!(unheard(&gate), serde_json::json!(["to-peer2"]));
    let text = String::from_utf8(gate.operate("status", &[]).unwrap().stdout).unwrap();
    let line = text.lines().find(|line| line.contains("to-peer2")).unwrap();
    assert!(
        line.contains("no XDP program: silent knocks are not heard"),
        "{text}"
    );

    let other = Way {
        client: &scene.lab.other,
        server: "10.77.2.1",
    };
    silent::settle(5);
    let knock = silent::Draft::default().seal();
    assert_eq!(
        silent::send(&scene.lab.other, other.port(5800), &[&knock, &knock]).unwrap(),
        0
    );
    let number = scene.ip("-o link show to-peer2");
    let number = number.split(':').next().unwrap();
    gate.wait_for(&format!(
        "1 datagrams of a silent knock's length came by interfaces without the XDP program, the last from 10.77.2.2 by \
         interface number {number} "
    ))
    .unwrap();
    assert_eq!(other.meets(), Outcome::Silent);
    // The same one is good where it is heard, and challenge knocks are heard here.
    let client = Way {
        client: &scene.lab.client,
        server: "10.77.1.1",
    };
    client.is_guarded(&mut gate);
    assert_eq!(other.letmein(&["knock"]), 0);
    assert_eq!(other.meets(), Outcome::Open);
}

#[test]
fn where_nobody_can_knock_that_is_said() {
    let scene = Scene::new();
    let said = "silent knocks are not heard on to-peer2, as the XDP program does not run there, but ports are closed there \
                as well; nobody can knock there; add what users knock on to gate.interfaces";
    assert!(check(&scene, "challenge = false").contains(said));
    scene
        .letmeind(&["to-peer1"], "challenge = false")
        .start_and_wait_for(said)
        .unwrap();
    // All of them are heard.
    let all = ["to-peer1", "to-peer2"];
    let gate = scene.start(&all, "challenge = false");
    assert_eq!(unheard(&gate), Value::Null);
}
