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

/// Who holds a genuine knock back can send copies of it with another MAC, each of which costs the gate one HMAC: as many
/// as the source's token bucket has, and the genuine client, elsewhere, does not notice.
#[test]
fn copies_of_a_knock_that_was_held_back_meet_the_token_bucket() {
    let scene = Scene::new();
    let mut gate = scene.start("rate = 1\nburst = 5", "1h");
    settle(10);
    let mut copy = genuine();
    copy[87] ^= 1;
    let copies = [&copy[..]; 100];
    letmein_tests::silent::send(&scene.lab.other, "10.77.2.1:5800".parse().unwrap(), &copies).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let counters = gate.counters().unwrap();
        let of = |name: &str| counters.get(name).copied().unwrap_or_default();
        if of("auth") + of("rate-limit") == 100 {
            // The burst, and perhaps a token or two that came in meanwhile on a busy machine.
            assert!((5..20).contains(&of("auth")), "{counters:?}");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{counters:?}");
    }
    scene.knock(&[&genuine()]);
    gate.wait_for("alice opened ssh (tcp/22) for 10.77.1.2").unwrap();
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
