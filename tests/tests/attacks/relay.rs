//! Somebody on the way sends a guest's knock on from an address of its own. What that opens is not promised to be
//! nothing: these tests show what it is. Silent knocks that name their address are safe, as
//! `tests/tests/silent/address.rs` shows.

use crate::scene::{CONTROL_OF_OTHER, Scene};
use letmein_common::wire::challenge::Operation;
use letmein_tests::{
    knocker::{Draft, Udp},
    lab::Outcome::{Open, Silent},
    silent,
};

/// As long as the guest answers challenges, the relay gets in instead. What it has recorded then opens nothing again.
#[test]
fn a_challenge_knock_opens_for_the_relay_once() {
    let scene = Scene::new();
    let mut gate = scene.start("");
    let relay = || Udp::new(&scene.lab.other, CONTROL_OF_OTHER.parse().unwrap()).unwrap();
    let line = relay();
    let guests_knock = Draft::default().sign();
    line.send(&guests_knock).unwrap();
    let challenge = line.answer().unwrap();
    let guests_response = Draft::default().response(&challenge).sign();
    line.send(&guests_response).unwrap();
    assert_eq!(line.answer().unwrap().operation, Operation::ComeIn);
    assert_eq!((scene.port_of_other(), scene.port()), (Open, Silent));

    scene
        .lab
        .server
        .run("nft", &["flush set inet letmein leases4"])
        .unwrap();
    gate.wait_for("revoked").unwrap();
    for line in [line, relay()] {
        for recorded in [guests_knock, guests_response] {
            line.send(&recorded).unwrap();
        }
        let answer = line.answer_by_now(&scene.lab.other).unwrap();
        // A repeated RESPONSE is answered, in case the first answer was lost.
        assert!(answer.is_none_or(|answer| answer.operation == Operation::ComeIn));
        assert_eq!((scene.port_of_other(), scene.port()), (Silent, Silent));
    }
}

/// A silent knock that names no address, as from behind NAT, opens for whoever sends it first.
#[test]
fn a_silent_knock_without_an_address_opens_for_the_relay_once() {
    let scene = Scene::new();
    let mut gate = scene.start("");
    let guests_knock = silent::Draft::default().seal();
    let control = CONTROL_OF_OTHER.parse().unwrap();
    silent::send(&scene.lab.other, control, &[&guests_knock]).unwrap();
    gate.wait_for("alice opened ssh (tcp/22) for 10.77.2.2").unwrap();
    assert_eq!((scene.port_of_other(), scene.port()), (Open, Silent));
    let control = crate::scene::CONTROL.parse().unwrap();
    silent::send(&scene.lab.client, control, &[&guests_knock]).unwrap();
    assert_eq!(gate.counters().unwrap()["replay"], 1);
    assert_eq!(scene.port(), Silent);
}
