//! A recorded knock opens nothing: not now, not later, not from elsewhere, not after a restart, not at another gate.

use crate::scene::{Scene, control, counted, genuine};
use letmein_tests::{
    gate::Gate,
    lab::Outcome,
    silent::{self, Draft, next_epoch, settle},
};
use std::fs;

/// Sends a knock that opens, and closes the port again by another.
pub(super) fn recorded(scene: &Scene, gate: &mut Gate, draft: Draft) -> [u8; 88] {
    let knock = draft.seal();
    scene.knock(&[&knock]);
    gate.wait_for("alice opened ssh").unwrap();
    let revoke = Draft {
        operation: letmein_common::wire::challenge::Operation::Revoke,
        ..Draft::default()
    };
    scene.knock(&[&revoke.seal()]);
    gate.wait_for("alice closed ssh").unwrap();
    knock
}

#[test]
fn at_once_and_from_another_source() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    settle(10);
    let knock = recorded(&scene, &mut gate, Draft::default());
    scene.knock(&[&knock]);
    counted(&mut gate, &[("genuine", 2), ("replay", 1)]);
    silent::send(&scene.lab.other, "10.77.2.1:5800".parse().unwrap(), &[&knock]).unwrap();
    counted(&mut gate, &[("genuine", 2), ("replay", 2)]);
    assert_eq!(scene.port(), Outcome::Silent);
}

/// In the epoch that follows, the tags of this one are still good: the nonce is what ends the replay. Those of the one
/// before are not.
#[test]
fn in_the_next_epoch() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    settle(5);
    let of_the_past = Draft {
        ahead: -1,
        ..Draft::default()
    };
    let past = recorded(&scene, &mut gate, of_the_past);
    let present = recorded(&scene, &mut gate, Draft::default());
    next_epoch();
    scene.knock(&[&present]);
    counted(&mut gate, &[("genuine", 4), ("replay", 1)]);
    scene.knock(&[&past]);
    counted(&mut gate, &[("genuine", 4), ("replay", 1), ("unknown-tag", 1)]);
    assert_eq!(scene.port(), Outcome::Silent);
}

fn after_a_restart(end: impl FnOnce(Gate) -> anyhow::Result<()>) {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    settle(15);
    let knock = recorded(&scene, &mut gate, Draft::default());
    end(gate).unwrap();
    let mut gate = scene.start("", "1h");
    scene.knock(&[&knock]);
    counted(&mut gate, &[("genuine", 0), ("replay", 1)]);
    // Fresh ones are taken at once.
    scene.knock(&[&genuine()]);
    gate.wait_for("alice opened ssh").unwrap();
}

#[test]
fn after_a_restart_the_record_is_still_there() {
    after_a_restart(Gate::stop);
}

#[test]
fn after_a_crash_the_record_is_still_there() {
    after_a_restart(Gate::kill);
}

/// After a reboot nothing is pinned. Then what could have been accepted before is not taken at all, and what could not
/// have been is.
#[test]
fn after_a_reboot_no_old_knock_is_taken() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    settle(15);
    let of_the_future = Draft {
        ahead: 1,
        ..Draft::default()
    };
    let recorded = [Draft::default(), of_the_future].map(|draft| recorded(&scene, &mut gate, draft));
    gate.stop().unwrap();
    fs::remove_dir_all(scene.bpffs.pins()).unwrap();
    let mut gate = scene.start("", "1h");
    scene.knock(&[&recorded[0], &recorded[1]]);
    counted(&mut gate, &[("genuine", 0), ("unknown-tag", 2)]);
    next_epoch();
    scene.knock(&[&recorded[0], &recorded[1]]);
    counted(&mut gate, &[("genuine", 0), ("unknown-tag", 4)]);
    let of_the_future = of_the_future.seal();
    assert_eq!(
        silent::send(&scene.lab.client, control(), &[&of_the_future]).unwrap(),
        0
    );
    gate.wait_for("alice opened ssh").unwrap();
}

/// A record with less room than it takes is made anew. A larger one does.
#[test]
fn a_change_of_seen_salts_forgets_and_is_careful() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    settle(10);
    let knock = recorded(&scene, &mut gate, Draft::default());
    gate.stop().unwrap();
    let mut gate = scene.start("seen-salts = 1000", "1h");
    scene.knock(&[&knock]);
    counted(&mut gate, &[("genuine", 0), ("replay", 1)]);
    gate.stop().unwrap();
    let mut gate = scene.start("seen-salts = 100000", "1h");
    scene.knock(&[&knock]);
    counted(&mut gate, &[("genuine", 0), ("unknown-tag", 1)]);
}

/// The same key and ids at two gates with different numbers.
#[test]
fn at_another_gate() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    settle(10);
    let knock = recorded(&scene, &mut gate, Draft::default());
    let elsewhere = Scene::new();
    let mut other = elsewhere.start("number = 1", "1h");
    elsewhere.knock(&[&knock]);
    counted(&mut other, &[("genuine", 0), ("unknown-tag", 1)]);
    let meant_for_it = Draft {
        gate: 1,
        ..Draft::default()
    };
    elsewhere.knock(&[&meant_for_it.seal()]);
    other.wait_for("alice opened ssh").unwrap();
}
