//! Where the shield is, and where it is not.

use crate::scene::{Scene, V4, V6, shielded, syns};
use letmein_tests::{
    gate::{Gate, configuration},
    lab::Outcome,
    letmeind::Letmeind,
};
use std::{
    fs,
    io::{BufRead as _, BufReader},
};

/// Starts a gate and tells what the client meets at its port, whether the server's kernel has seen the attempt, and
/// how much the shield dropped.
fn attempt(scene: &Scene, configuration: &str) -> (Gate, Outcome, bool, u64) {
    let mut gate = Gate::start_with(&scene.lab.server, configuration).unwrap();
    let mut tap = scene.watch_client();
    let outcome = scene.client_meets(V4);
    let (seen, dropped) = (syns(&mut tap) > 0, shielded(&mut gate));
    (gate, outcome, seen, dropped)
}

#[track_caller]
fn assert_shielded(scene: &Scene, configuration: &str) {
    let (gate, outcome, seen, dropped) = attempt(scene, configuration);
    assert_eq!((outcome, seen, dropped > 0), (Outcome::Silent, false, true));
    scene.knock(&gate, V4);
    assert_eq!(scene.client_meets(V4), Outcome::Open);
    scene.revoke(&gate, V4);
    gate.stop().unwrap();
}

#[track_caller]
fn assert_left_to_the_firewall(scene: &Scene, configuration: &str, expected: Outcome) {
    let (gate, outcome, seen, dropped) = attempt(scene, configuration);
    assert_eq!((outcome, seen, dropped), (expected, true, 0));
    scene.knock(&gate, V4);
    assert_eq!(scene.client_meets(V4), Outcome::Open);
    scene.revoke(&gate, V4);
    gate.stop().unwrap();
}

/// As the first resource of the configuration has it.
fn of_ssh(configuration: &str, option: &str) -> String {
    configuration.replace("[\"tcp/22\"]", &format!("[\"tcp/22\"]\n{option}"))
}

#[test]
fn for_all_resources_and_for_one() {
    let scene = Scene::new();
    let on = configuration("", "", "1h");
    let off = configuration("", "shield = \"off\"", "1h");
    assert_shielded(&scene, &on);
    assert_left_to_the_firewall(&scene, &of_ssh(&on, "shield = \"off\""), Outcome::Silent);
    assert_left_to_the_firewall(&scene, &off, Outcome::Silent);
    assert_shielded(&scene, &of_ssh(&off, "shield = \"drop\""));
}

/// Who wants attempts to be rejected gets that, unless the shield is asked for by name.
#[test]
fn with_ports_that_reject() {
    let scene = Scene::new();
    let reject = configuration("", "closed = \"reject\"", "1h");
    assert_left_to_the_firewall(&scene, &reject, Outcome::Refused);
    assert_shielded(&scene, &of_ssh(&reject, "shield = \"drop\""));
    let both = configuration("", "closed = \"reject\"\nshield = \"drop\"", "1h");
    assert_shielded(&scene, &both);
}

#[test]
fn without_xdp() {
    let scene = Scene::new();
    let without = configuration("xdp = \"off\"", "", "1h");
    assert_left_to_the_firewall(&scene, &without, Outcome::Silent);
}

/// In chain mode, too, and over both address families.
#[test]
fn with_rules_of_the_users() {
    let scene = Scene::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../nftables.conf");
    scene.lab.server.run("nft", &["-f", example]).unwrap();
    let chain = configuration("", "mode = \"chain\"", "1h");
    assert_shielded(&scene, &chain);
    let gate = Gate::start_with(&scene.lab.server, &chain).unwrap();
    assert_eq!(scene.client_meets(V6), Outcome::Silent);
    scene.knock(&gate, V6);
    assert_eq!(scene.client_meets(V6), Outcome::Open);
    gate.stop().unwrap();
    assert_left_to_the_firewall(&scene, &of_ssh(&chain, "shield = \"off\""), Outcome::Silent);
}

/// The program cannot tell forwarded packets from the server's own, and says so where there are some.
#[test]
fn on_a_router() {
    let scene = Scene::new();
    let forward = |family: &str, value: &str| {
        let setting = format!("/proc/sys/net/{family}/conf/to-peer1/forwarding");
        scene
            .lab
            .server
            .enter(|| fs::write(setting, value))
            .unwrap()
            .unwrap();
    };
    let warnings = |options: &str| {
        let configuration = of_ssh(&configuration("", "shield = \"off\"", "1h"), options);
        let letmeind = Letmeind::new(&scene.lab.server, &configuration).unwrap();
        let mut process = letmeind.command("run").unwrap().spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = log.map(Result::unwrap).take_while(|line| !line.contains("ready"));
        let warnings = log.filter(|line| line.contains("forwards packets")).count();
        process.kill().unwrap();
        process.wait().unwrap();
        warnings
    };
    for family in ["ipv4", "ipv6"] {
        forward(family, "1");
        assert_eq!((warnings("shield = \"drop\""), warnings("")), (1, 0), "{family}");
        forward(family, "0");
    }
    assert_eq!(warnings("shield = \"drop\""), 0);
}
