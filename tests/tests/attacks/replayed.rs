//! A KNOCK that was seen on the wire, sent again from very many addresses.

use crate::{
    frames::source,
    scene::{CONTROL, CONTROL_OF_OTHER, Scene, exchange, send_until},
};
use letmein_common::wire::challenge::{LEN, Operation};
use letmein_tests::{
    frames::UDP,
    knocker::{Draft, Udp},
    processes::counted,
};

const SOURCES: u32 = 20_000;
const REPLAYS: u64 = 100_000;

/// No answer, no datagram for letmeind, and no place of those who are being challenged, of which there is one only.
#[test]
fn it_gets_no_answer_and_takes_nobodys_place() {
    let scene = Scene::new();
    let mut gate = scene.start("xdp = \"native\"\npending-challenges = 1");
    let recorded = exchange(&scene, CONTROL, Operation::Knock);
    let mut attacker = scene.attacker();
    let control = CONTROL_OF_OTHER.parse().unwrap();
    let frames: Vec<_> = (0..SOURCES)
        .map(|number| attacker.udp(source(number), control, &recorded))
        .collect();
    // A guest has been challenged, and is slow.
    let guest = Udp::new(&scene.lab.client, CONTROL.parse().unwrap()).unwrap();
    guest.send(&Draft::default().sign()).unwrap();
    let challenge = guest.answer().unwrap();
    let datagrams = || counted(&scene.lab.server, "Udp", "InDatagrams").unwrap();
    let before = datagrams();
    send_until(&mut gate, REPLAYS, &attacker, &frames, Vec::new);
    assert_eq!(datagrams(), before);
    assert!(gate.counters().unwrap()["replay"] >= REPLAYS / 2);
    guest.send(&Draft::default().response(&challenge).sign()).unwrap();
    assert_eq!(guest.answer().unwrap().operation, Operation::ComeIn);
    assert_eq!(attacker.received(), Vec::<Vec<u8>>::new());
}

/// One that was taken away before the gate saw it brings one answer to the first address, and no more.
#[test]
fn one_that_the_gate_has_not_seen_is_answered_once() {
    let scene = Scene::new();
    let mut gate = scene.start("xdp = \"native\"");
    let mut attacker = scene.attacker();
    let held_back = Draft::default().sign();
    let control = CONTROL_OF_OTHER.parse().unwrap();
    let frames: Vec<_> = (0..SOURCES)
        .map(|number| attacker.udp(source(number), control, &held_back))
        .collect();
    send_until(&mut gate, u64::from(SOURCES), &attacker, &frames, Vec::new);
    assert_eq!(gate.counters().unwrap()["genuine"], 1);
    let answers = attacker.received();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let (header, datagram) = answers[0].split_at(20);
    assert_eq!((header[9], datagram.len()), (UDP, 8 + LEN));
    let std::net::IpAddr::V4(first) = source(0).ip() else {
        panic!("IPv4 was asked for")
    };
    assert_eq!(header[16..], first.octets());
}
