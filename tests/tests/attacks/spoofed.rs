//! Forged source addresses: those of others, and the gate's own.

use crate::{
    frames::{Random, forged},
    scene::{CONTROL_OF_OTHER, CONTROL_OF_OTHER_V6, Scene, flood_while},
};
use letmein_common::wire::challenge::{LEN, NO_TOKEN, Operation};
use letmein_tests::{
    frames::{ETHERNET_LEN, UDP},
    knocker::Draft,
    lab::Outcome,
    processes::counted,
    tap::Tap,
    wait::wait_until,
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Who has the key, but does not receive what is sent to an address, opens nothing for it by a challenge knock.
#[test]
fn a_challenge_goes_to_the_address_and_nobody_else_can_answer_it() {
    let scene = Scene::new();
    let mut gate = scene.start("xdp = \"native\"");
    let mut attacker = scene.attacker();
    let mut client = Tap::open(&scene.lab.client, "to-server").unwrap();
    for (source, control) in [
        ("10.77.1.2:40000", CONTROL_OF_OTHER),
        ("[fd77:1::2]:40000", CONTROL_OF_OTHER_V6),
    ] {
        let send = |message: [u8; LEN]| {
            let frame = attacker.udp(source.parse().unwrap(), control.parse().unwrap(), &message);
            attacker.tap.send(&frame).unwrap();
        };
        send(Draft::default().sign());
        // As long as it is not challenged, no RESPONSE has a chance.
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_for_port_40000(&client.receive(deadline).unwrap().unwrap()) {}
        for token in [NO_TOKEN, [7; 32]] {
            let guess = Draft {
                operation: Operation::Response,
                token,
                ..Draft::default()
            };
            send(guess.sign());
        }
    }
    wait_until("all have been judged", || {
        let counters = gate.counters().unwrap();
        counters.values().sum::<u64>() == 6
    });
    let counters = gate.counters().unwrap();
    assert_eq!((counters["genuine"], counters["auth"]), (2, 4));
    assert_eq!(attacker.received(), Vec::<Vec<u8>>::new());
    assert_eq!(scene.port(), Outcome::Silent);
    assert_eq!(scene.port_of_other(), Outcome::Silent);
}

/// A UDP datagram in a plain packet of either family.
fn is_for_port_40000(frame: &[u8]) -> bool {
    let packet = &frame[ETHERNET_LEN..];
    let (protocol, header) = match packet[0] >> 4 {
        4 => (packet[9], 20),
        6 => (packet[6], 40),
        _ => return false,
    };
    protocol == UDP && packet[header + 2..header + 4] == 40_000_u16.to_be_bytes()
}

/// A gate that is made to send to itself does not answer itself, not even one that answers everybody.
#[test]
fn a_gate_does_not_talk_to_itself() {
    let scene = Scene::new();
    let gate = scene.start("xdp = \"native\"\nerror-policy = \"always\"");
    let attacker = scene.attacker();
    // IPv6 has no rule that an address of this machine cannot be another one's.
    let own: SocketAddr = "[fd77:2::1]:5800".parse().unwrap();
    let knock = Draft::default().sign();
    let mut no_magic = Draft::default().sign();
    no_magic[0] ^= 1;
    let datagrams = || counted(&scene.lab.server, "Udp6", "InDatagrams").unwrap();
    for question in [knock, no_magic] {
        let before = datagrams();
        attacker.tap.send(&attacker.udp(own, own, &question)).unwrap();
        wait_until("question and answer have come in", || datagrams() >= before + 2);
        // Whatever it was going to say to the answer, it says before it takes a guest's question.
        scene.a_guest_comes_and_goes(&gate, "-U");
        assert_eq!(datagrams(), before + 2);
    }
}

/// Forged datagrams use up the token bucket of the address that they pretend to come from. TCP does not depend on it.
#[test]
fn an_address_whose_bucket_is_drained_still_knocks_over_tcp() {
    let scene = Scene::new();
    let mut gate = scene.start("xdp = \"native\"\nhmac-budget = 100");
    let attacker = scene.attacker();
    let source = "10.77.1.2:40000".parse().unwrap();
    let control = CONTROL_OF_OTHER.parse().unwrap();
    let mut random = Random(11);
    let frames: Vec<_> = (0..1000)
        .map(|_| attacker.udp(source, control, &forged(Operation::Knock, 1, &mut random)))
        .collect();
    flood_while(&attacker, &frames, Vec::new, || {
        wait_until("the bucket is empty", || {
            gate.counters().unwrap().contains_key("rate-limit")
        });
        scene.a_guest_comes_and_goes(&gate, "-T");
    });
}
