//! `letmein --wait`: the client finds out by itself, and says what may be wrong.

use crate::scene::{Scene, wrong_key};
use letmein_tests::gate::KEY;

/// The first datagram gets lost on the client's side: the client repeats it, with a fresh nonce.
#[test]
fn a_knock_that_gets_lost_is_repeated() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    let lose = [
        "add table netdev lossy",
        "add chain netdev lossy egress { type filter hook egress device to-server priority 0; }",
        // Room for one knock with its headers, and not for two.
        "add rule netdev lossy egress udp dport 5800 quota until 150 bytes counter drop",
    ];
    for command in lose {
        scene.lab.client.run("nft", &[command]).unwrap();
    }
    let knock = ["knock", "gate", "ssh", "--wait", "--verbose"];
    let run = scene.letmein(&[], &KEY, "", &knock);
    run.said("ssh on 10.77.1.1 is open, after ");
    assert!(
        run.stderr.matches("sending a silent Knock").count() >= 2,
        "{run:?}"
    );
    let lost = scene
        .lab
        .client
        .run("nft", &["list", "table", "netdev", "lossy"])
        .unwrap();
    assert!(lost.contains("counter packets 1 "), "{lost}");
    gate.wait_for("alice opened ssh").unwrap();
}

#[test]
fn what_does_not_open_is_explained() {
    let scene = Scene::new();
    let _gate = scene.start("", "1h");
    let run = scene.letmein(&[], &wrong_key(), "", &["knock", "gate", "ssh", "--wait", "1s"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    for cause in ["not open 1s after a silent knock", "clock", "30 s", "key", "NAT"] {
        assert!(run.stderr.contains(cause), "{cause}: {run:?}");
    }
    let run = scene.letmein(
        &[],
        &KEY,
        "gate-number = 7",
        &["knock", "gate", "ssh", "--wait", "1s"],
    );
    assert_eq!(run.code, Some(3), "{run:?}");
}

/// After a challenge knock the gate has said that it is open, so it is the service that is missing.
#[test]
fn a_service_that_is_missing_is_told_apart() {
    let scene = Scene::new();
    let configuration = scene
        .configuration("", "1h")
        .replace("resources = [\"ssh\"]", "resources = [\"*\"]");
    let _gate = letmein_tests::gate::Gate::start_with(&scene.lab.server, &configuration).unwrap();
    let knock = ["knock", "gate", "other", "--challenge", "--wait", "1s"];
    let run = scene.letmein(&[], &KEY, "", &knock);
    assert_eq!(run.code, Some(3), "{run:?}");
    let told = "10.77.1.1:23: not open 1s after the knock (connections are refused), though the gate said so";
    assert!(run.stderr.contains(told), "{run:?}");
    scene
        .letmein(&[], &KEY, "", &["knock", "gate", "ssh", "--challenge", "--wait"])
        .said("is open, after ");
}
