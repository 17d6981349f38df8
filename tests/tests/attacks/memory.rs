//! What bad packets leave behind in the gate: nothing.

use crate::{
    frames::{Mixture, Random},
    scene::{CONTROL_OF_OTHER, Scene, send_until},
};
use letmein_tests::{gate::Gate, knocker::Tcp, processes::Usage, wait::wait_until};

/// Refused before the first look: every bounded table that they touch is then as full as they make it.
const BEFORE: u64 = 60_000;
/// Connections of strangers, who each say something that is no knock.
const CONNECTIONS: usize = 500;
/// What the allocator may keep of what was freed, in KiB.
const SLACK: u64 = 256;

/// Strangers connect, say a wrong message or a part of one, and are hung up on.
fn strangers(scene: &Scene, random: &mut Random) {
    for number in 0..CONNECTIONS {
        let mut connection = Tcp::new(&scene.lab.other, CONTROL_OF_OTHER.parse().unwrap()).unwrap();
        connection.send(&random.bytes(number % 57)).unwrap();
        connection.finish().unwrap();
        assert_eq!(connection.answer().unwrap(), None);
    }
}

/// Once nobody is connected any more.
fn usage(gate: &Gate) -> Usage {
    let mut usage = Usage::of(gate).unwrap();
    wait_until("all is as it was a moment ago", || {
        let before = usage.clone();
        usage = Usage::of(gate).unwrap();
        usage == before
    });
    usage
}

/// Of so many packets, `kinds` of which differ from each other.
fn nothing_is_left_of(count: u64, kinds: u32, xdp: &str) {
    let scene = Scene::new();
    let mut gate = scene.start(&format!("xdp = \"{xdp}\""));
    // Without the XDP program there is no record of silent knocks, and so none are taken for half a minute.
    let mixture = if xdp == "off" {
        Mixture::record_challenge(&scene)
    } else {
        Mixture::record(&scene, &mut gate)
    };
    let attacker = scene.attacker();
    let frames = mixture.frames(&attacker, kinds);
    let mut random = Random(9);
    strangers(&scene, &mut random);
    send_until(&mut gate, BEFORE, &attacker, &frames, Vec::new);
    let before = usage(&gate);
    strangers(&scene, &mut random);
    send_until(&mut gate, count, &attacker, &frames, Vec::new);
    let after = usage(&gate);
    assert_eq!(after.descriptors, before.descriptors);
    assert_eq!(after.maps, before.maps);
    assert!(
        after.memory <= before.memory + SLACK,
        "{before:?}, then {after:?}"
    );
}

#[test]
fn a_million_bad_packets_take_no_memory_and_no_descriptors() {
    nothing_is_left_of(1_000_000, 50_000, "native");
}

#[test]
fn nor_do_those_that_letmeind_itself_judges() {
    nothing_is_left_of(200_000, 5_000, "off");
}
