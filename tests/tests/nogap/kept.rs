//! What was accepted once is not accepted by the next daemon.

use crate::scene::Scene;
use letmein_tests::{
    gate::Gate,
    knocker::{Draft, Udp},
    silent::{self, settle},
};

const CONTROL: &str = "10.77.1.1:5800";

fn replayed(end: impl FnOnce(Gate) -> anyhow::Result<()>) {
    let scene = Scene::new();
    let gate = scene.start("");
    let knock = Draft::default().sign();
    let socket = Udp::new(&scene.lab.client, CONTROL.parse().unwrap()).unwrap();
    socket.send(&knock).unwrap();
    socket.answer().unwrap();
    end(gate).unwrap();
    // One that nobody was there for counts as well.
    let unheard = Draft::default().sign();
    socket.send(&unheard).unwrap();
    let mut gate = scene.start("");
    let socket = Udp::new(&scene.lab.client, CONTROL.parse().unwrap()).unwrap();
    for recorded in [knock, unheard] {
        socket.send(&recorded).unwrap();
    }
    assert!(socket.answer_by_now(&scene.lab.client).unwrap().is_none());
    let counters = gate.counters().unwrap();
    assert_eq!((counters["genuine"], counters["replay"]), (1, 2));
}

#[test]
fn a_challenge_knock_after_a_restart() {
    replayed(Gate::stop);
}

#[test]
fn a_challenge_knock_after_a_crash() {
    replayed(Gate::kill);
}

/// A record of another size is another record. Everything else goes on.
#[test]
fn not_in_a_record_that_was_changed() {
    let scene = Scene::new();
    let gate = scene.start("");
    let knock = Draft::default().sign();
    let socket = Udp::new(&scene.lab.client, CONTROL.parse().unwrap()).unwrap();
    socket.send(&knock).unwrap();
    socket.answer().unwrap();
    gate.stop().unwrap();
    let gate = scene
        .letmeind(&scene.configuration("seen-salts = 1000"))
        .start_and_wait_for("salts-1 is not the map that this configuration needs")
        .unwrap();
    socket.send(&knock).unwrap();
    socket.answer().unwrap();
    drop(gate);
}

/// A silent knock that came while nobody was there has opened nothing, and opens nothing later.
#[test]
fn a_silent_knock_that_nobody_heard() {
    let scene = Scene::new();
    scene.start("silent = true").stop().unwrap();
    let gate = scene.start("silent = true");
    settle(20);
    gate.kill().unwrap();
    let knock = silent::Draft::default().seal();
    let send = |knock: &[u8]| silent::send(&scene.lab.client, CONTROL.parse().unwrap(), &[knock]).unwrap();
    send(&knock);
    let mut gate = scene.start("silent = true");
    send(&knock);
    let counters = gate.counters().unwrap();
    assert_eq!((counters["genuine"], counters["replay"]), (0, 1), "{counters:?}");
    // From the first moment on, fresh ones are taken.
    send(&silent::Draft::default().seal());
    gate.wait_for("alice opened ssh").unwrap();
}
