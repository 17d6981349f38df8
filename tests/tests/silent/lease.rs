//! Closed, knock, open for one address only, revoke, closed: with one datagram each.

use crate::scene::{GATE, Scene, control, counted, genuine, wrong_key};
use letmein_common::wire::challenge::Operation;
use letmein_tests::{
    gate::{Gate, KEY},
    knocker,
    lab::Outcome,
    nft,
    silent::{Draft, settle},
};
use std::{net::SocketAddr, time::Duration};

fn life_of_a_lease(gate: &str, server: &str, other: &str) {
    let scene = Scene::new();
    let mut gate = scene.start(gate, "1h");
    let ssh = |address: &str| SocketAddr::new(address.parse().unwrap(), 22);
    let lab = &scene.lab;
    let knock = |key: &[u8; 32], arguments: &[&str]| {
        let configuration = format!(
            "[servers.gate]\nhost = \"{server}\"\nuser = \"1\"\nkey-file = \"alice.key\"\nmode = \"silent\"\n\
             [servers.gate.resources]\nssh = {{ id = \"1\", port = 22 }}\n"
        );
        letmein_tests::gate::letmein(&lab.client, &configuration, key, arguments).unwrap()
    };

    assert_eq!(lab.client.connect(ssh(server)).unwrap(), Outcome::Silent);
    assert_eq!(knock(&wrong_key(), &["knock", "gate", "ssh"]), 0);
    counted(&mut gate, &[("genuine", 0), ("unknown-tag", 1)]);
    assert_eq!(lab.client.connect(ssh(server)).unwrap(), Outcome::Silent);
    assert_eq!(knock(&KEY, &["knock", "gate", "ssh", "--wait"]), 0);
    assert_eq!(lab.client.connect(ssh(server)).unwrap(), Outcome::Open);
    assert_eq!(lab.other.connect(ssh(other)).unwrap(), Outcome::Silent);
    gate.wait_for("alice opened ssh (tcp/22)").unwrap();
    assert_eq!(knock(&KEY, &["revoke", "gate", "ssh"]), 0);
    gate.wait_for("alice closed ssh (tcp/22)").unwrap();
    assert_eq!(lab.client.connect(ssh(server)).unwrap(), Outcome::Silent);
    gate.stop().unwrap();
    assert_eq!(lab.client.connect(ssh(server)).unwrap(), Outcome::Silent);
}

#[test]
fn native_xdp_ipv4() {
    life_of_a_lease("xdp = \"native\"", GATE, "10.77.2.1");
}

#[test]
fn native_xdp_ipv6() {
    life_of_a_lease("xdp = \"native\"", "fd77:1::1", "fd77:2::1");
}

#[test]
fn generic_xdp_without_challenge_knocks() {
    life_of_a_lease("xdp = \"generic\"\nchallenge = false", GATE, "10.77.2.1");
}

/// Nothing is remembered there, so the first knock has to wait.
#[test]
fn without_xdp_a_start_takes_no_knock_that_could_be_an_old_one() {
    let scene = Scene::new();
    let mut gate = scene.start("xdp = \"off\"\nchallenge = false", "1h");
    scene.knock(&[&genuine()]);
    counted(&mut gate, &[("genuine", 0), ("unknown-tag", 1)]);
    scene
        .letmein(&[], &KEY, "", &["knock", "gate", "ssh", "--wait", "90s"])
        .said("ssh on 10.77.1.1 is open, after ");
    gate.wait_for("alice opened ssh (tcp/22) for 10.77.1.2").unwrap();
    let knock = genuine();
    scene.knock(&[&knock]);
    gate.wait_for("alice opened ssh (tcp/22) for 10.77.1.2").unwrap();
    let before = gate.counters().unwrap();
    scene.knock(&[&knock]);
    let mut after = before;
    *after.entry("replay".to_owned()).or_default() += 1;
    assert_eq!(gate.counters().unwrap(), after);
}

#[test]
fn a_lease_is_as_long_as_asked_for_and_no_longer_than_configured() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1m");
    let mut left = |arguments: &[&str]| {
        let arguments = [&["knock", "gate", "ssh"], arguments].concat();
        scene
            .letmein(&[], &KEY, "", &arguments)
            .said("ssh on 10.77.1.1: silent knock sent");
        gate.wait_for("alice opened ssh").unwrap();
        nft::leases(&scene.lab.server, "letmein", "leases4").unwrap()[0].timeout
    };
    assert_eq!(left(&[]), Duration::from_mins(1));
    assert_eq!(left(&["--for", "7s"]), Duration::from_secs(7));
    assert_eq!(left(&["--for", "2h"]), Duration::from_mins(1));
}

/// Both kinds at one gate, each with its own key material and its own record of what was seen.
#[test]
fn challenge_knocks_are_taken_as_well() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    scene
        .letmein(&[], &KEY, "", &["knock", "gate", "ssh", "--challenge"])
        .said("ssh on 10.77.1.1 is open");
    scene
        .letmein(&[], &KEY, "", &["revoke", "gate", "ssh", "--silent"])
        .said("ssh on 10.77.1.1: silent revocation sent");
    gate.wait_for("alice closed ssh").unwrap();
    assert_eq!(scene.port(), Outcome::Silent);
    counted(&mut gate, &[("genuine", 3)]);
}

/// A gate that takes the one kind does not even look at the other.
#[test]
fn the_other_kind_of_knock_has_the_wrong_length() {
    let scene = Scene::new();
    let mut gate = scene.start("challenge = false", "1h");
    let challenge = knocker::Draft::default().sign();
    scene.knock(&[&challenge]);
    counted(&mut gate, &[("genuine", 0), ("length", 1)]);
    gate.stop().unwrap();
    let configuration = scene
        .configuration("", "1h")
        .replace("silent = true", "silent = false");
    let mut gate = Gate::start_with(&scene.lab.server, &configuration).unwrap();
    scene.knock(&[&genuine()]);
    counted(&mut gate, &[("genuine", 0), ("length", 1)]);
}

/// Clocks may be an epoch apart, and no more.
#[test]
fn neighbouring_epochs_are_taken() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    settle(5);
    for (ahead, expected) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
        let before = gate.counters().unwrap()["genuine"];
        let draft = Draft {
            ahead,
            ..Draft::default()
        };
        let datagram = draft.seal();
        assert_eq!(
            letmein_tests::silent::send(&scene.lab.client, control(), &[&datagram]).unwrap(),
            0
        );
        let genuine = gate.counters().unwrap()["genuine"] - before;
        assert_eq!(genuine == 1, expected, "{ahead} epochs ahead");
    }
}

/// Nothing but KNOCK and REVOKE, however well it is sealed.
#[test]
fn another_operation_is_refused_although_it_proves_the_key() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    let draft = Draft {
        operation: Operation::ComeIn,
        ..Draft::default()
    };
    scene.knock(&[&draft.seal()]);
    gate.wait_for("asks for nothing that a knock can ask for")
        .unwrap();
    assert_eq!(scene.port(), Outcome::Silent);
}
