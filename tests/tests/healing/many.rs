//! So many leases that they take several transactions, and that a restart asks for each instead of reading all.

use super::scene::Scene;
use letmein_tests::lab::Outcome::{Open, Silent};
use std::{fmt::Write as _, fs};
use tempfile::TempDir;

const MANY: u32 = 70_000;

#[test]
fn a_restart_and_a_flush() {
    let scene = Scene::guard();
    let mut gate = scene.letmeind().start().unwrap();
    scene.knock(&gate);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("leases.nft");
    fs::write(&file, crowd(MANY)).unwrap();
    scene.nft(&["-f", file.to_str().unwrap()]);
    // Whatever came in one breath is known: it is put back.
    scene.nft(&["flush ruleset"]);
    gate.wait_for(&format!("rules and {} leases are put back", MANY + 1))
        .unwrap();
    gate.stop().unwrap();

    // One is revoked while nobody watches.
    scene.nft(&["delete element inet letmein leases4 { 192.0.0.7 . tcp . 22 }"]);
    let mut gate = scene
        .letmeind()
        .start_and_wait_for(&format!("{MANY} leases of an earlier run go on"))
        .unwrap();
    assert_eq!(scene.ssh(), [Open, Silent, Silent]);
    scene.nft(&["flush ruleset"]);
    gate.wait_for(&format!("rules and {MANY} leases are put back"))
        .unwrap();
    assert_eq!(scene.leases(4).len(), MANY as usize);
    assert_eq!(scene.ssh(), [Open, Silent, Silent]);
}

/// More is told than a daemon that is held up can be told: then it asks. Who was revoked meanwhile stays so.
#[test]
fn lost_notifications() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("leases.nft");
    fs::write(&file, crowd(190_000) + "flush set inet letmein leases4\n").unwrap();
    gate.pause().unwrap();
    for _ in 0..3 {
        scene.nft(&["-f", file.to_str().unwrap()]);
    }
    gate.go_on().unwrap();
    gate.wait_for("leases from nftables: they are revoked").unwrap();
    assert_eq!(scene.ssh(), [Silent, Open, Silent]);
    scene.nft(&["flush ruleset"]);
    gate.wait_for("rules and 1 leases are put back").unwrap();
    assert_eq!(scene.ssh(), [Silent, Open, Silent]);
}

/// What opens tcp/22 for so many.
fn crowd(count: u32) -> String {
    let mut text = "add element inet letmein leases4 {\n".to_owned();
    for number in 0..count {
        let [_, second, third, fourth] = number.to_be_bytes();
        writeln!(text, "192.{second}.{third}.{fourth} . tcp . 22 timeout 1h,").unwrap();
    }
    text + "}\n"
}
