//! Grants are recorded in nftables: none is lost, and none gained, by a crash, a restart, a reload or a flush.

use crate::scene::{SERVER, Scene, Serving, assert_is_an_hour, assert_is_short};
use letmein_tests::{
    lab::Outcome::{Open, Silent},
    wait::wait_until,
};

const GUEST: &str = "10.77.1.2 . tcp . 22";

/// Alice has an hour, Bob two minutes, and an operator one.
fn with_three(scene: &Scene) -> Serving {
    let mut serving = scene.gate();
    scene.knock("alice");
    scene.knock_for(&mut serving, "bob", SERVER, "2m");
    serving.prints("open", &["ssh", "10.77.1.2", "--for", "1m"]);
    serving
}

#[track_caller]
fn has_three(scene: &Scene, serving: &Serving) {
    assert_is_an_hour(scene.left("leases4"));
    let grants = serving.grants();
    let who: Vec<_> = grants.iter().map(|(who, _)| who.as_str()).collect();
    assert_eq!(who, ["alice", "bob", "operator 0"]);
    let left: Vec<_> = grants.iter().map(|(_, left)| *left).collect();
    assert!(left[0] > 50 && left[1] <= 2 && left[2] <= 1, "{grants:?}");
    // Each of them is what it was.
    scene.revoke("alice");
    assert_is_short(scene.left("leases4"));
    scene.revoke("bob");
    assert_eq!(scene.port(SERVER), Open);
    serving.prints("revoke", &["10.77.1.2"]);
    assert_eq!(scene.port(SERVER), Silent);
}

#[test]
fn by_a_crash() {
    let scene = Scene::new();
    with_three(&scene).gate.kill().unwrap();
    has_three(&scene, &scene.gate());
}

#[test]
fn by_a_restart() {
    let scene = Scene::new();
    with_three(&scene).gate.stop().unwrap();
    has_three(&scene, &scene.gate());
}

#[test]
fn by_a_reload() {
    let scene = Scene::new();
    let mut serving = with_three(&scene);
    serving.reload(&scene.configuration("", "cut = true"));
    has_three(&scene, &serving);
}

#[test]
fn by_a_flush_of_the_ruleset() {
    let scene = Scene::new();
    let mut serving = with_three(&scene);
    scene.nft(&["flush", "ruleset"]);
    serving.gate.wait_for("leases are put back").unwrap();
    has_three(&scene, &serving);
    // From what was put back, too.
    let mut serving = with_three_again(&scene, serving);
    scene.nft(&["flush", "ruleset"]);
    serving.gate.wait_for("leases are put back").unwrap();
    serving.gate.kill().unwrap();
    has_three(&scene, &scene.gate());
}

fn with_three_again(scene: &Scene, serving: Serving) -> Serving {
    serving.gate.stop().unwrap();
    with_three(scene)
}

/// By reload, and by a restart.
#[test]
fn a_user_who_is_removed_loses_their_own() {
    let scene = Scene::new();
    let usual = scene.configuration("", "");
    let without_alice = usual.replace("[users.alice]\nid = \"1\"", "[users.dave]\nid = \"4\"");
    let mut serving = with_three(&scene);
    serving.reload(&without_alice);
    assert_eq!(serving.holders(), ["bob", "operator 0"]);
    assert_is_short(scene.left("leases4"));
    assert_eq!(scene.port(SERVER), Open);
    serving.gate.stop().unwrap();
    with_three(&scene).gate.kill().unwrap();
    let serving = scene.start(&without_alice);
    assert_eq!(serving.holders(), ["bob", "operator 0"]);
    assert_is_short(scene.left("leases4"));
    assert_eq!(scene.port(SERVER), Open);
}

#[test]
fn a_user_whose_time_is_over_loses_their_own() {
    let scene = Scene::new();
    let mut serving = with_three(&scene);
    let over = scene
        .configuration("", "")
        .replace("[users.alice]", "[users.alice]\nuntil = \"2020-01-01T00:00:00Z\"");
    serving.reload(&over);
    assert_eq!(serving.holders(), ["bob", "operator 0"]);
    assert_is_short(scene.left("leases4"));
    assert_eq!(scene.port(SERVER), Open);
    scene.revoke("bob");
    serving.prints("revoke", &["all"]);
    assert_eq!(scene.port(SERVER), Silent);
}

/// Which knows of one opener, and whose comment says who that was.
#[test]
fn a_lease_of_an_earlier_version_is_its_openers() {
    let scene = Scene::new();
    scene.gate().gate.stop().unwrap();
    let element = format!("{{ {GUEST} timeout 1h comment \"user 00000001\" }}");
    scene.nft(&["add", "element", "inet", "letmein", "leases4", &element]);
    let mut serving = scene.gate();
    assert_eq!(serving.holders(), ["alice"]);
    scene.knock_for(&mut serving, "bob", SERVER, "2m");
    assert_is_an_hour(scene.left("leases4"));
    scene.revoke("alice");
    assert_is_short(scene.left("leases4"));
}

/// Who deletes the element ends all grants: the next knock brings back nobody else's.
#[test]
fn what_is_deleted_with_nft_is_revoked_for_all() {
    let scene = Scene::new();
    let mut serving = with_three(&scene);
    let element = format!("{{ {GUEST} }}");
    // Before letmeind hears of it.
    serving.gate.pause().unwrap();
    scene.nft(&["delete", "element", "inet", "letmein", "leases4", &element]);
    serving.gate.go_on().unwrap();
    scene.knock_for(&mut serving, "bob", SERVER, "2m");
    wait_until("only Bob's is left", || serving.holders() == ["bob"]);
    assert_is_short(scene.left("leases4"));
}
