//! Guessed answers to a challenge that is pending, from the address that it was sent to.

use crate::{
    frames::{Random, forged},
    scene::{CONTROL, CONTROL_OF_OTHER, Scene, refused},
};
use letmein_common::wire::challenge::Operation;
use letmein_tests::{
    knocker::{Draft, Udp},
    lab::Outcome,
    processes::counted,
    wait::wait_until,
};
use std::net::SocketAddr;

const GUESSES: u64 = 20_000;
const AUTH: usize = 24;
/// On their way at one time: a veth pair holds 256.
const AT_ONCE: usize = 200;

/// Not even those that have all bits but one right open anything or reach letmeind, and the challenge can be answered
/// after them as before.
#[test]
fn they_open_nothing_and_spoil_nothing() {
    let scene = Scene::new();
    let mut gate = scene.start("xdp = \"native\"\nrate = 0\nhmac-budget = 0\ncontrol-timeout = \"1m\"");
    let attacker = scene.attacker();
    let guest = Udp::new(&scene.lab.client, CONTROL.parse().unwrap()).unwrap();
    guest.send(&Draft::default().sign()).unwrap();
    let challenge = guest.answer().unwrap();
    let right = Draft::default().response(&challenge).sign();
    let mut random = Random(7);
    let near = (0..256).map(|bit| {
        let mut guess = right.to_vec();
        guess[AUTH + bit / 8] ^= 1 << (bit % 8);
        guess
    });
    let far = (0..GUESSES - 256).map(|_| forged(Operation::Response, 1, &mut random));
    // The challenge itself for an answer, and the answer to none.
    let mut echo = right.to_vec();
    echo[AUTH..].copy_from_slice(&challenge.auth);
    let to_none = Draft {
        operation: Operation::Response,
        ..Draft::default()
    };
    let guesses = near.chain(far).chain([echo, to_none.sign().to_vec()]);
    let source = SocketAddr::new("10.77.1.2".parse().unwrap(), guest.port().unwrap());
    let control = CONTROL_OF_OTHER.parse().unwrap();
    let frames: Vec<_> = guesses
        .map(|guess| attacker.udp(source, control, &guess))
        .collect();
    let datagrams = || counted(&scene.lab.server, "Udp", "InDatagrams").unwrap();
    let before = (datagrams(), refused(&mut gate));
    let mut sent = before.1;
    for some in frames.chunks(AT_ONCE) {
        attacker.tap.send_all(some).unwrap();
        sent += some.len() as u64;
        wait_until("they are refused", || refused(&mut gate) == sent);
    }
    assert_eq!(gate.counters().unwrap()["auth"], GUESSES + 2);
    assert_eq!(datagrams(), before.0);
    assert_eq!(scene.port(), Outcome::Silent);
    guest.send(&right).unwrap();
    assert_eq!(guest.answer().unwrap().operation, Operation::ComeIn);
    assert_eq!(scene.port(), Outcome::Open);
}
