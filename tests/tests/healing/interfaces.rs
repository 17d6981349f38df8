//! The XDP program stays on the interfaces that the configuration names, whatever becomes of them.

use super::detach::detach;
use super::scene::Scene;
use letmein_tests::{gate::Gate, lab::Outcome::Silent, wait::wait_until};

fn ip(scene: &Scene, words: &str) -> String {
    let words: Vec<_> = words.split(' ').collect();
    scene.lab.server.run("ip", &words).unwrap()
}

/// It is the XDP program that lets KNOCK and RESPONSE through.
#[track_caller]
fn knocks_through_xdp(scene: &Scene, gate: &mut Gate) {
    let before = gate.counters().unwrap()["genuine"];
    // The neighbour may have to be found again.
    wait_until("a knock succeeds", || {
        scene.letmein(gate, "knock", "10.77.1.1") == 0
    });
    assert!(gate.counters().unwrap()["genuine"] >= before + 2);
    // Its IPv6 addresses have left an interface that was down.
    let other = scene.lab.other.connect("10.77.2.1:22".parse().unwrap());
    assert_eq!(other.unwrap(), Silent);
}

fn has_program(scene: &Scene, interface: &str) -> bool {
    ip(scene, &format!("link show {interface}")).contains("xdp")
}

#[test]
fn down_and_up() {
    let scene = Scene::guard();
    let mut gate = scene.letmeind().start().unwrap();
    ip(&scene, "link set to-peer1 down");
    ip(&scene, "link set to-peer1 up");
    knocks_through_xdp(&scene, &mut gate);
}

#[test]
fn deleted_and_made_again() {
    let scene = Scene::guard();
    let mut gate = scene.letmeind().start().unwrap();
    for _ in 0..2 {
        ip(&scene, "link del to-peer1");
        gate.wait_for("to-peer1 is gone; the XDP program is attached as soon as there is")
            .unwrap();
        scene.lab.join(1).unwrap();
        gate.wait_for("XDP program attached again to to-peer1, native")
            .unwrap();
        knocks_through_xdp(&scene, &mut gate);
    }
}

/// In one breath, so that nobody sees it missing.
#[test]
fn replaced_at_once() {
    let scene = Scene::guard();
    let mut gate = scene.letmeind().start().unwrap();
    ip(&scene, "link del to-peer2");
    scene.lab.join(2).unwrap();
    gate.wait_for("XDP program attached again to to-peer2, native")
        .unwrap();
    assert!(has_program(&scene, "to-peer2"));
}

#[test]
fn renamed_and_back() {
    let scene = Scene::guard();
    let mut gate = scene.letmeind().start().unwrap();
    let rename = |from: &str, to: &str| {
        ip(&scene, &format!("link set {from} down"));
        ip(&scene, &format!("link set {from} name {to}"));
        ip(&scene, &format!("link set {to} up"));
    };
    rename("to-peer1", "wan0");
    gate.wait_for("to-peer1 is called wan0 now, which gate.interfaces does not name")
        .unwrap();
    // Nobody gets around the gate meanwhile.
    knocks_through_xdp(&scene, &mut gate);
    rename("wan0", "to-peer1");
    gate.wait_for("to-peer1 is there again").unwrap();
    knocks_through_xdp(&scene, &mut gate);
}

#[test]
fn renamed_and_replaced() {
    let scene = Scene::guard();
    let mut gate = scene.letmeind().start().unwrap();
    ip(&scene, "link set to-peer1 down");
    ip(&scene, "link set to-peer1 name wan0");
    gate.wait_for("to-peer1 is called wan0 now").unwrap();
    ip(&scene, "link add to-peer1 type bridge");
    gate.wait_for("XDP program attached again to to-peer1, generic")
        .unwrap();
    assert!(has_program(&scene, "to-peer1") && !has_program(&scene, "wan0"));
}

/// `ip` cannot take away what a BPF link holds. Where somebody else was quicker, that is said, and ours is attached when
/// it can be.
#[test]
fn somebody_elses_program() {
    let scene = Scene::guard();
    let mut gate = scene.letmeind().start().unwrap();
    let off = ["link", "set", "dev", "to-peer1", "xdp", "off"];
    assert!(scene.lab.server.run("ip", &off).is_err());
    knocks_through_xdp(&scene, &mut gate);
    let object = letmein_tests::gate::program("ebpf/bare.bpf.o").unwrap();
    let script = format!(
        "ip link del to-peer1; ip link add to-peer1 type bridge; \
         ip link set dev to-peer1 xdpgeneric obj {} sec xdp.frags",
        object.display()
    );
    // Stopped, it cannot be quicker.
    gate.pause().unwrap();
    scene.lab.server.run("sh", &["-c", &script]).unwrap();
    gate.go_on().unwrap();
    gate.wait_for("to-peer1 is without the XDP program: another XDP program is attached")
        .unwrap();
    ip(&scene, "link set dev to-peer1 xdpgeneric off");
    gate.wait_for("XDP program attached again to to-peer1, generic")
        .unwrap();
}

/// Root can take it away by `bpftool link detach`. The kernel tells nobody, so that is noticed some seconds later.
#[test]
fn detached_by_somebody() {
    let scene = Scene::guard();
    let mut gate = scene.letmeind().start().unwrap();
    detach(&scene.lab.server, "to-peer1");
    assert!(!has_program(&scene, "to-peer1"));
    gate.wait_for("XDP program attached again to to-peer1, native")
        .unwrap();
    gate.wait_for("XDP program attached again to to-peer2, native")
        .unwrap();
    knocks_through_xdp(&scene, &mut gate);
}
