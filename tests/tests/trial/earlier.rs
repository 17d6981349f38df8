//! What is put back is what was there: rules of an earlier letmeind, and who was let in by it.

use crate::{
    CLIENT,
    scene::{Scene, Trial},
};
use letmein_tests::{
    gate::{KEY, configuration, letmein},
    lab::Outcome,
    wait::wait_until,
};
use std::collections::BTreeSet;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../nftables.conf");

/// Another one than the usual: other ports, another answer. Port 22 is open to all in it.
fn other(firewall: &str) -> String {
    configuration("port = 5900", firewall, "1h")
        .replace("tcp/22", "tcp/2222")
        .replace("tcp/23", "udp/23")
}

/// A gate serves with the usual configuration and lets a client in; then the other one is tried.
fn an_earlier_version(firewall: &str, other: &str, set: &str) {
    let scene = Scene::new();
    if firewall.contains("chain") {
        scene.nft(&["-f", EXAMPLE]);
    }
    let gate = scene
        .letmeind(&configuration("", firewall, "1h"))
        .start()
        .unwrap();
    let knock = || letmein(&scene.lab.client, CLIENT, &KEY, &["knock", "gate", "ssh"]).unwrap();
    let ssh = || scene.lab.client.connect("10.77.1.1:22".parse().unwrap()).unwrap();
    assert_eq!(knock(), 0);
    gate.stop().unwrap();
    let before = scene.ruleset();

    let mut trial = Trial::begin(&scene.letmeind(other), "up", "3s");
    wait_until("rules have changed", || scene.ruleset() != before);
    assert_eq!(trial.end(), Some(1));
    assert_eq!(scene.ruleset(), before);
    assert_eq!(ssh(), Outcome::Open);
    scene.expect_port(Outcome::Silent);

    // A lease that was closed meanwhile.
    let mut trial = Trial::begin(&scene.letmeind(other), "up", "3s");
    let (table, set) = set.split_once('/').unwrap();
    scene.nft(&["flush", "set", "inet", table, set]);
    assert_eq!(trial.end(), Some(1));
    assert_eq!(scene.ruleset(), before);
    assert_eq!(ssh(), Outcome::Open);
    scene.expect_port(Outcome::Silent);
    let left = scene.nft(&["list", "set", "inet", table, set]);
    assert!(left.contains("expires 59m"), "{left}");
}

#[test]
fn of_the_guard() {
    an_earlier_version("", &other("closed = \"reject\""), "letmein/leases4");
}

/// Everything that a resource may ask for, tried over the usual and the other way around.
#[test]
fn that_had_more_or_less() {
    let more = "forward = true\ncut = true\nipv6-prefix = 64\n[resources.range]\nid = \"00000003\"\n\
                ports = [\"udp/60000-60010\"]\n";
    let usual = configuration("", "", "1h");
    let more = usual.replace("ports = [\"tcp/23\"]\n", &format!("ports = [\"tcp/23\"]\n{more}"));
    for (earlier, later) in [(&usual, &more), (&more, &usual)] {
        let scene = Scene::new();
        assert!(
            scene
                .letmeind(earlier)
                .command("up")
                .unwrap()
                .status()
                .unwrap()
                .success()
        );
        // nft lists sets in the order in which they were made.
        let ruleset = || {
            let listing = scene.ruleset();
            let objects = listing
                .split("\n\n")
                .map(|object| object.trim_end_matches(['\n', '}']));
            objects.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let before = ruleset();
        let mut trial = Trial::begin(&scene.letmeind(later), "up", "3s");
        wait_until("rules have changed", || ruleset() != before);
        assert_eq!(trial.end(), Some(1));
        assert_eq!(ruleset(), before);
    }
}

#[test]
fn of_a_chain() {
    let chain = "mode = \"chain\"";
    an_earlier_version(chain, &other(chain), "filter/letmein_leases4");
}

/// The user's ruleset has a chain for us, and nothing is in it yet.
#[test]
fn an_empty_chain() {
    let scene = Scene::new();
    scene.nft(&["-f", EXAMPLE]);
    let before = scene.nft(&["-a", "list", "ruleset"]);
    let mut trial = Trial::begin(
        &scene.letmeind(&configuration("", "mode = \"chain\"", "1h")),
        "up",
        "3s",
    );
    wait_until("there are sets", || scene.ruleset().contains("letmein_leases4"));
    assert_eq!(trial.end(), Some(1));
    assert_eq!(scene.nft(&["-a", "list", "ruleset"]), before);
}

/// Somebody else removes everything while it is on trial.
#[test]
fn a_table_that_was_deleted_meanwhile() {
    let scene = Scene::new();
    let usual = configuration("", "", "1h");
    scene.letmeind(&usual).start().unwrap().stop().unwrap();
    let before = scene.ruleset();
    let mut trial = Trial::begin(&scene.letmeind(&other("")), "up", "3s");
    wait_until("rules have changed", || scene.ruleset() != before);
    scene.nft(&["flush", "table", "inet", "letmein"]);
    scene.nft(&["delete", "table", "inet", "letmein"]);
    assert_eq!(trial.end(), Some(1));
    assert_eq!(scene.ruleset(), before);
}

/// What cannot be installed changes nothing, and neither does putting it back.
#[test]
fn somebody_elses_table() {
    let scene = Scene::new();
    let table = "table inet letmein { set mine { type ipv4_addr; elements = { 192.0.2.1 }; }; chain mine { accept; }; }";
    scene.nft(&[table]);
    let before = scene.nft(&["-a", "list", "ruleset"]);
    let mut trial = Trial::begin(&scene.letmeind(&configuration("", "", "1h")), "up", "1h");
    assert_eq!(trial.end(), Some(1));
    assert!(trial.said.contains("was not made by letmeind"), "{}", trial.said);
    assert_eq!(scene.nft(&["-a", "list", "ruleset"]), before);
}
