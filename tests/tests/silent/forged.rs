//! What somebody makes of knocks that were seen on the wire.

use crate::scene::{Scene, counted, genuine};
use letmein_tests::{lab::Outcome, silent::settle};

/// Each of them ends at its own step, and none gets an answer.
#[test]
fn each_forgery_ends_where_it_should() {
    let scene = Scene::new();
    let mut gate = scene.start("rate = 0\nxdp = \"native\"", "1h");
    settle(10);
    let changed = |at: usize| {
        let mut knock = genuine();
        knock[at] ^= 1;
        knock
    };
    let shorter = &genuine()[..87];
    let longer = [&genuine()[..], &[0]].concat();
    let datagrams: [&[u8]; 11] = [
        &[0; 88],
        &[0xFF; 88],
        shorter,
        &longer,
        // TAG, NONCE, BODY, CHECK, MAC: the first and the last byte of each that matters.
        &changed(0),
        &changed(7),
        &changed(8),
        &changed(47),
        &changed(48),
        &changed(56),
        &changed(87),
    ];
    scene.knock(&datagrams);
    counted(
        &mut gate,
        &[
            ("genuine", 0),
            ("length", 2),
            ("unknown-tag", 4),
            ("check", 3),
            ("auth", 2),
        ],
    );
    assert_eq!(scene.port(), Outcome::Silent);
}

/// Whoever holds a genuine knock back can send copies of it with another MAC, each of which costs the gate one HMAC. From
/// the client's own address, too: its genuine knock is obeyed all the same, as no source's bucket is asked.
#[test]
fn copies_of_a_knock_that_was_held_back_do_not_keep_the_genuine_ones_out() {
    let scene = Scene::new();
    let mut gate = scene.start("rate = 1\nburst = 1", "1h");
    settle(10);
    let mut copy = genuine();
    copy[87] ^= 1;
    let copies = [&copy[..]; 400];
    scene.knock(&copies);
    scene.knock(&[&genuine()]);
    gate.wait_for("alice opened ssh (tcp/22) for 10.77.1.2").unwrap();
    counted(&mut gate, &[("genuine", 1), ("auth", 400)]);
}

/// A burst of genuine knocks larger than anybody sends: all are acted upon, none is lost.
#[test]
fn a_burst_of_genuine_knocks_is_served_completely() {
    let scene = Scene::new();
    let mut gate = scene.start("rate = 0", "1h");
    settle(10);
    let knocks: Vec<_> = (0..200).map(|_| genuine()).collect();
    let knocks: Vec<_> = knocks.iter().map(|knock| &knock[..]).collect();
    scene.knock(&knocks);
    for _ in 0..200 {
        gate.wait_for("alice opened ssh").unwrap();
    }
    counted(&mut gate, &[("genuine", 200)]);
}
