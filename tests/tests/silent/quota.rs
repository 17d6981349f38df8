//! One user's genuine knocks, very many more than anybody needs.

use crate::{
    replay::recorded,
    scene::{Scene, counted, genuine},
};
use letmein_tests::{
    gate::Gate,
    lab::{Lab, Outcome},
    silent::{self, Draft, settle},
    wait::wait_until,
};

/// With this configuration, a user may knock 64 times at once and then once a second.
const BURST: u64 = 64;
const MANY: usize = 700;

/// A gate that remembers few knocks, with bob as another user.
fn start(scene: &Scene, xdp: &str) -> Gate {
    let settings = format!("xdp = \"{xdp}\"\nrate = 0\nseen-salts = 1");
    // The same key for another user, so that it needs no other file.
    let bob = "[users.bob]\nid = \"00000002\"\nkey-file = \"alice.key\"\nresources = [\"ssh\"]\n";
    let configuration = scene.configuration(&settings, "1h") + bob;
    Gate::start_with(&scene.lab.server, &configuration).unwrap()
}

fn knocks_of_bob() -> Vec<[u8; 88]> {
    let draft = Draft {
        user: 2,
        ..Draft::default()
    };
    (0..MANY).map(|_| draft.seal()).collect()
}

fn send(lab: &Lab, knocks: &[[u8; 88]]) {
    let control = "10.77.2.1:5800".parse().unwrap();
    for some in knocks.chunks(100) {
        let some: Vec<_> = some.iter().map(|knock| &knock[..]).collect();
        assert_eq!(silent::send(&lab.other, control, &some).unwrap(), 0);
    }
}

fn count(gate: &mut Gate, name: &str) -> u64 {
    gate.counters().unwrap().get(name).copied().unwrap_or(0)
}

/// They push out nothing that could be replayed, keep nobody else out, and are told of in one line.
#[test]
fn of_another_user_bring_no_recorded_knock_back() {
    let scene = Scene::new();
    start(&scene, "native").stop().unwrap();
    // The record of another size was made anew.
    let mut gate = start(&scene, "native");
    settle(25);
    let recorded = recorded(&scene, &mut gate, Draft::default());
    send(&scene.lab, &knocks_of_bob());
    let mut quota = 0;
    wait_until("all have been judged", || {
        quota = count(&mut gate, "quota");
        quota + count(&mut gate, "genuine") == MANY as u64 + 2
    });
    let accepted = MANY as u64 - quota;
    assert!((BURST..2 * BURST).contains(&accepted), "{accepted} accepted");
    scene.knock(&[&recorded]);
    counted(
        &mut gate,
        &[("genuine", accepted + 2), ("quota", quota), ("replay", 1)],
    );
    assert_eq!(scene.port(), Outcome::Silent);
    gate.wait_for("genuine knocks of bob were refused").unwrap();
    // Alice has a share of her own.
    scene.knock(&[&genuine()]);
    wait_until("alice gets in", || scene.port() == Outcome::Open);
    let lines = gate.log_so_far();
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("knocks of bob were refused")),
        "{lines:?}"
    );
}
