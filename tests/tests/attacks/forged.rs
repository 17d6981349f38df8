//! Forged knocks of a user who exists, from more addresses than there are token buckets for: each costs the gate an HMAC.
//! What becomes of more of them than there is time for is shown in `tests/tests/limits/budget.rs`.

use crate::{
    frames::{Random, forged, source, source_v6},
    scene::{CONTROL_OF_OTHER, CONTROL_OF_OTHER_V6, Scene, flood_while},
};
use letmein_common::wire::challenge::Operation;
use letmein_tests::silent;

/// The XDP program has a bucket for 65,536 addresses.
const SOURCES: u32 = 70_000;

/// Whoever has the key gets in meanwhile, by every kind of knock.
#[test]
fn guests_come_and_go_during_a_flood() {
    let scene = Scene::new();
    let mut gate = scene.start("xdp = \"native\"\nhmac-budget = 0");
    let attacker = scene.attacker();
    let mut random = Random(3);
    let held_back = silent::Draft::default().seal();
    let frames: Vec<_> = (0..SOURCES)
        .map(|number| {
            let (source, control) = if number % 8 == 0 {
                (source_v6(number), CONTROL_OF_OTHER_V6)
            } else {
                (source(number), CONTROL_OF_OTHER)
            };
            let payload = if number % 2 == 0 {
                forged(Operation::Knock, 1, &mut random)
            } else {
                [&held_back[..56], &random.bytes(32)].concat()
            };
            attacker.udp(source, control.parse().unwrap(), &payload)
        })
        .collect();
    flood_while(&attacker, &frames, Vec::new, || {
        for how in ["-U", "-T", "--silent"] {
            scene.a_guest_comes_and_goes(&gate, how);
        }
    });
    let counters = gate.counters().unwrap();
    // It was a flood, and (nearly) every one of it was a MAC to be computed.
    assert!(counters["auth"] > u64::from(SOURCES), "{counters:?}");
}
