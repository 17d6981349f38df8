//! The daemon ends, in one way or another, and another one begins.

use crate::{
    probe::{nobody_gets_in, nobody_notices},
    scene::Scene,
};
use letmein_daemon::{
    config::Config,
    firewall::Firewall,
    leases::Leases,
    loading,
    xdp::{Mode, Object},
};
use letmein_tests::{
    gate::{Gate, program},
    lab::Outcome,
    letmeind::Letmeind,
    wait::wait_until,
};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

fn restarted(end: impl Fn(Gate) -> anyhow::Result<()>) {
    let scene = Scene::new();
    let mut gate = scene.with_guest();
    nobody_notices(&scene, |attempts| {
        for _ in 0..3 {
            let before = scene.program("to-peer1");
            end(gate).unwrap();
            attempts.go_on();
            assert_eq!(scene.program("to-peer1"), before);
            gate = scene
                .letmeind(&scene.configuration(""))
                .start_and_wait_for("attached to to-peer2, in the place of the one before")
                .unwrap();
            assert_ne!(scene.program("to-peer1"), before);
            attempts.go_on();
        }
        scene.knock(&gate);
    });
}

#[test]
fn killed_and_restarted() {
    restarted(Gate::kill);
}

#[test]
fn stopped_and_restarted() {
    restarted(Gate::stop);
}

/// Another build of the XDP program comes with another letmeind: larger, and with a map more. And the usual one again.
#[test]
fn upgraded() {
    let scene = Scene::new();
    let gate = scene.with_guest();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("letmeind.toml");
    let text = scene.configuration("").replace(
        "key-file = \"alice.key\"",
        &format!("key = \"{}\"", "5a".repeat(32)),
    );
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let object = fs::read(program("ebpf-log/letmein.bpf.o").unwrap()).unwrap();
    nobody_notices(&scene, |attempts| {
        gate.stop().unwrap();
        let before = scene.program("to-peer1");
        // As `run` does, with another object than is in it.
        scene
            .lab
            .server
            .enter(|| {
                let config = Config::load(&file).unwrap();
                let firewall = Firewall::install(&config.firewall_plan()).unwrap();
                let mut leases = Leases::take_over(firewall, &config).unwrap();
                let mut gate = loading::load(Object::new(&object), &config, leases.most()).unwrap();
                loading::fill(&mut gate, &mut leases).unwrap();
                loading::attach(&config, &mut gate, Mode::Auto, &[]).unwrap();
                attempts.go_on();
            })
            .unwrap();
        assert_ne!(scene.program("to-peer1"), before);
        attempts.go_on();
        let mut gate = scene.start("");
        attempts.go_on();
        scene.knock(&gate);
        assert!(gate.counters().unwrap()["genuine"] >= 2);
    });
}

/// While nobody is there to put the rules back, the shield alone keeps strangers out, and lets the guest in.
#[test]
fn without_rules_and_without_a_daemon() {
    let scene = Scene::new();
    let gate = scene.with_guest();
    let saved = scene.nft(&["list", "ruleset"]);
    nobody_notices(&scene, |attempts| {
        gate.kill().unwrap();
        scene.nft(&["flush", "ruleset"]);
        attempts.go_on();
        scene
            .lab
            .server
            .run("sh", &["-c", &format!("nft -f - <<'END'\n{saved}\nEND")])
            .unwrap();
        attempts.go_on();
        let gate = scene.start("");
        attempts.go_on();
        drop(gate);
    });
}

#[test]
fn healed() {
    let scene = Scene::new();
    let mut gate = scene.with_guest();
    nobody_notices(&scene, |attempts| {
        for destruction in [
            "flush ruleset",
            "delete table inet letmein",
            "flush chain inet letmein input",
        ] {
            scene.nft(&[destruction]);
            gate.wait_for("leases are put back").unwrap();
            attempts.go_on();
        }
    });
}

/// The kernel ends a lease by its own clock, in both of its records.
#[test]
fn a_lease_ends_while_nobody_is_there() {
    let scene = Scene::new();
    let configuration = scene
        .configuration("")
        .replace("lease = \"1h\"", "lease = \"3s\"");
    let gate = scene.letmeind(&configuration).start().unwrap();
    scene.knock(&gate);
    assert_eq!(scene.guest_meets(), Outcome::Open);
    gate.kill().unwrap();
    // What is left is the shield.
    scene.nft(&["flush", "ruleset"]);
    wait_until("the shield forgets", || scene.guest_meets() == Outcome::Silent);
}

/// A link cannot change its mode. There is a moment without the shield, and none without rules.
#[test]
fn in_another_mode() {
    let scene = Scene::new();
    let mut gate = scene.with_guest();
    nobody_gets_in(&scene, |attempts| {
        for (mode, kind) in [
            ("generic", "xdpgeneric"),
            ("native", "xdp"),
            ("generic", "xdpgeneric"),
            ("auto", "xdp"),
        ] {
            gate.stop().unwrap();
            gate = scene.start(&format!("xdp = \"{mode}\""));
            assert_eq!(scene.program("to-peer1").unwrap().1, kind);
            attempts.go_on();
            let names = ["link", "link"].map(|link| format!("{link}-{mode}"));
            let mut links = scene.pins();
            links.retain(|pin| pin.starts_with("link-"));
            assert_eq!(links, names);
        }
    });
}

/// Where a mode is not to be had, what was there stays.
#[test]
fn in_a_mode_that_there_is_not() {
    let scene = Scene::new();
    let bridge = "ip link add br0 type bridge; ip link set br0 up";
    scene.lab.server.run("sh", &["-c", bridge]).unwrap();
    let on_bridge = |mode: &str| {
        let text = scene.configuration(&format!("xdp = \"{mode}\""));
        text.replace("\"to-peer1\", \"to-peer2\"", "\"br0\"")
    };
    let gate = scene.letmeind(&on_bridge("auto")).start().unwrap();
    let before = scene.program("br0");
    assert_eq!(before.as_ref().unwrap().1, "xdpgeneric");
    gate.stop().unwrap();
    let failure = Letmeind::new(&scene.lab.server, &on_bridge("native"))
        .unwrap()
        .fail()
        .unwrap();
    assert!(
        failure.log.contains("does not take XDP programs"),
        "{}",
        failure.log
    );
    assert_eq!(scene.program("br0"), before);
    // And without a gap, `auto` goes on with the generic hook.
    let gate = scene
        .letmeind(&on_bridge("auto"))
        .start_and_wait_for("attached to br0, in the place of the one before, generic")
        .unwrap();
    assert_ne!(scene.program("br0"), before);
    drop(gate);
}
