//! Thousands of forged packets a second in the name of the client's own address.

use crate::{
    frames::{Random, forged},
    scene::{Attacker, CONTROL, CONTROL_OF_OTHER, GATE, Scene, flood_while},
};
use letmein_common::wire::challenge::{LEN, NO_TOKEN, Operation};
use letmein_tests::{
    gate::{Gate, KEY},
    knocker::{Draft, Udp},
    lab::Outcome,
    wait::wait_until,
};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::Duration,
};

/// What a source may send by its token bucket. The flood is very much more.
const BUCKET: &str = "rate = 5\nburst = 5";
/// Frames in one go, and a pause: at most ten thousand a second.
const BATCH: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);
/// At most so many batches.
const MOST: u32 = 30_000;

/// Does `work` while the frames are sent.
fn under_fire(attacker: &Attacker, frames: &[Vec<u8>], work: impl FnOnce()) {
    let sent = AtomicU32::new(0);
    let pause = || {
        sleep(PAUSE);
        if sent.fetch_add(1, Ordering::Relaxed) >= MOST {
            sleep(Duration::from_secs(1));
        }
        Vec::new()
    };
    flood_while(attacker, frames, pause, work);
}

/// Forged KNOCKs of a user who exists, from this address.
fn forged_knocks(attacker: &Attacker, source: &str, control: &str) -> Vec<Vec<u8>> {
    let mut random = Random(7);
    let knock = |_| {
        let payload = forged(Operation::Knock, 1, &mut random);
        attacker.udp(source.parse().unwrap(), control.parse().unwrap(), &payload)
    };
    (0..BATCH).map(knock).collect()
}

/// A whole challenge knock, no message of which is sent twice.
fn knock(scene: &Scene, control: &str, operation: Operation) {
    let socket = Udp::new(&scene.lab.client, control.parse().unwrap()).unwrap();
    let draft = Draft {
        operation,
        ..Draft::default()
    };
    socket.send(&draft.sign()).unwrap();
    let challenge = socket.answer().unwrap();
    socket.send(&draft.response(&challenge).sign()).unwrap();
    assert_eq!(socket.answer().unwrap().operation, Operation::ComeIn);
}

fn wait_for_refusals(gate: &mut Gate) {
    wait_until("the bucket is empty and forged knocks are checked", || {
        gate.counters()
            .unwrap()
            .get("auth")
            .is_some_and(|auth| *auth > 500)
    });
}

/// The bucket of its address is empty all the while, and each of its knocks gets in.
fn of_either_kind(xdp: &str, source: &str, gate_of_client: &str, control_of_other: &str) {
    let scene = Scene::new();
    let mut gate = scene.start(&format!("xdp = \"{xdp}\"\n{BUCKET}"));
    let attacker = scene.attacker();
    let frames = forged_knocks(&attacker, source, control_of_other);
    under_fire(&attacker, &frames, || {
        wait_for_refusals(&mut gate);
        for _ in 0..5 {
            knock(&scene, gate_of_client, Operation::Knock);
            assert_eq!(scene.port_at(gate_of_client), Outcome::Open);
            knock(&scene, gate_of_client, Operation::Revoke);
            assert_eq!(scene.port_at(gate_of_client), Outcome::Silent);
        }
        if gate_of_client == CONTROL {
            for _ in 0..3 {
                scene.a_guest_comes_and_goes(&gate, "--silent");
            }
        }
    });
}

#[test]
fn keep_nobody_out_native() {
    of_either_kind("native", "10.77.1.2:40000", CONTROL, CONTROL_OF_OTHER);
}

#[test]
fn keep_nobody_out_generic_ipv6() {
    of_either_kind(
        "generic",
        "[fd77:1::2]:40000",
        "[fd77:1::1]:5800",
        crate::scene::CONTROL_OF_OTHER_V6,
    );
}

/// Whoever sees a challenge can forge answers to it from the client's address and port, which do not use it up.
#[test]
fn forged_answers_do_not_keep_the_genuine_one_out() {
    let scene = Scene::new();
    let mut gate = scene.start(&format!("xdp = \"native\"\n{BUCKET}"));
    let attacker = scene.attacker();
    let socket = Udp::new(&scene.lab.client, CONTROL.parse().unwrap()).unwrap();
    let draft = Draft::default();
    socket.send(&draft.sign()).unwrap();
    let challenge = socket.answer().unwrap();
    let source = format!("10.77.1.2:{}", socket.port().unwrap());
    let guess = |number: u8| -> [u8; LEN] {
        let draft = Draft {
            operation: Operation::Response,
            token: [number; NO_TOKEN.len()],
            ..draft
        };
        draft.sign()
    };
    for number in 1..=200 {
        let frame = attacker.udp(
            source.parse().unwrap(),
            CONTROL_OF_OTHER.parse().unwrap(),
            &guess(number),
        );
        attacker.tap.send(&frame).unwrap();
    }
    socket.send(&draft.response(&challenge).sign()).unwrap();
    assert_eq!(socket.answer().unwrap().operation, Operation::ComeIn);
    assert_eq!(scene.port(), Outcome::Open);
    assert!(gate.counters().unwrap()["auth"] > 100);
}

/// Without XDP, every packet reaches letmeind, so there are fewer of them.
#[test]
fn keep_nobody_out_without_xdp() {
    let scene = Scene::new();
    let mut gate = scene.start(&format!("xdp = \"off\"\n{BUCKET}"));
    let attacker = scene.attacker();
    let mut frames = forged_knocks(&attacker, "10.77.1.2:40000", CONTROL_OF_OTHER);
    frames.truncate(2);
    under_fire(&attacker, &frames, || {
        wait_until("the bucket is empty", || {
            gate.counters()
                .unwrap()
                .get("auth")
                .is_some_and(|auth| *auth > 50)
        });
        for verb in ["knock", "revoke", "knock"] {
            let arguments = [verb, "gate", "ssh", "-U"];
            let code = gate.letmein(&scene.lab.client, GATE, &KEY, &arguments);
            assert_eq!(code.unwrap(), 0, "{verb}");
        }
    });
}
