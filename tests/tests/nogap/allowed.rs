//! Leases that the next configuration does not allow any more end with the start by it. The others do not notice.

use crate::scene::Scene;
use letmein_tests::{gate::letmein, lab::Outcome, nft::leases};
use std::time::Duration;

pub const BOB: [u8; 32] = [0xB0; 32];
const RESOURCES: &str = "ssh = { id = \"00000001\", port = 22 }\nadmin = { id = \"00000002\", port = 23 }\n";

/// Both users may open both ports.
pub fn for_two(scene: &Scene) -> String {
    let bob = "[users.bob]\nid = \"00000002\"\nkey-file = \"bob.key\"\nresources = [\"ssh\", \"admin\"]\n";
    let usual = scene.configuration("");
    format!("{usual}{bob}").replace(
        "alice.key\"\nresources = [\"ssh\"]",
        "alice.key\"\nresources = [\"ssh\", \"admin\"]",
    )
}

/// Alice knocks over IPv4, Bob over IPv6, each on both.
pub fn knock(scene: &Scene) {
    for (host, user, key) in [
        ("10.77.1.1", "00000001", &letmein_tests::gate::KEY),
        ("fd77:1::1", "00000002", &BOB),
    ] {
        let text = format!(
            "[servers.gate]\nhost = \"{host}\"\nuser = \"{user}\"\nkey-file = \"alice.key\"\n\
             [servers.gate.resources]\n{RESOURCES}"
        );
        for resource in ["ssh", "admin"] {
            let knocked = letmein(&scene.lab.client, &text, key, &["knock", "gate", resource]);
            assert_eq!(knocked.unwrap(), 0);
        }
    }
}

/// What is open: `22` and `23` of Alice, then of Bob.
pub fn open(scene: &Scene) -> Vec<String> {
    let of_family = |family: u8| leases(&scene.lab.server, "letmein", &format!("leases{family}")).unwrap();
    let all = [of_family(4), of_family(6)].concat();
    let ports = all
        .iter()
        .map(|lease| lease.key.rsplit_once(' ').unwrap().1.to_owned());
    ports.collect()
}

#[track_caller]
fn next(change: impl Fn(&str) -> String, left: &[&str]) {
    let scene = Scene::new();
    let before = for_two(&scene);
    let gate = scene.letmeind(&before).start().unwrap();
    knock(&scene);
    assert_eq!(open(&scene), ["22", "23", "22", "23"]);
    gate.kill().unwrap();
    let gate = scene.letmeind(&change(&before)).start().unwrap();
    assert_eq!(open(&scene), left);
    let ssh = scene
        .lab
        .client
        .connect("[fd77:1::1]:22".parse().unwrap())
        .unwrap();
    let is_open = left.iter().filter(|port| **port == "22").count() == 2;
    assert_eq!(ssh, if is_open { Outcome::Open } else { Outcome::Silent });
    drop(gate);
}

#[test]
fn nothing_has_changed() {
    next(str::to_owned, &["22", "23", "22", "23"]);
}

#[test]
fn a_user_who_is_gone() {
    next(
        |text| {
            text.replace("[users.bob]", "[users.carol]")
                .replace("00000002\"\nkey", "00000003\"\nkey")
        },
        &["22", "23"],
    );
}

/// Names and keys are not what a user is known by.
#[test]
fn a_user_with_another_name_and_another_key() {
    next(
        |text| {
            text.replace("[users.bob]", "[users.robert]")
                .replace("bob.key", "alice.key")
        },
        &["22", "23", "22", "23"],
    );
}

#[test]
fn a_user_who_may_do_less() {
    next(
        |text| {
            text.replace("resources = [\"ssh\", \"admin\"]\n", "resources = [\"admin\"]\n")
                .replacen("resources = [\"admin\"]", "resources = [\"admin\", \"ssh\"]", 1)
        },
        &["22", "23", "23"],
    );
}

#[test]
fn a_resource_that_is_gone() {
    next(|text| text.replace("tcp/23", "tcp/24"), &["22", "22"]);
}

/// No lease is longer than it could be opened for now. What an administrator has added with nft is his own.
#[test]
fn a_shorter_lease() {
    let scene = Scene::new();
    let before = for_two(&scene);
    let gate = scene.letmeind(&before).start().unwrap();
    knock(&scene);
    let element = "add element inet letmein leases4 { 10.77.1.9 . tcp . 22 timeout 1h }";
    scene.nft(&[element]);
    gate.kill().unwrap();
    let short = before.replace("lease = \"1h\"", "lease = \"20m\"");
    let gate = scene.letmeind(&short).start().unwrap();
    let listed = leases(&scene.lab.server, "letmein", "leases4").unwrap();
    let long: Vec<_> = listed
        .iter()
        .filter(|lease| lease.left > Duration::from_mins(20) && lease.key.ends_with(". 22"))
        .map(|lease| lease.key.as_str())
        .collect();
    assert_eq!(long, ["10.77.1.9 . tcp . 22"]);
    drop(gate);
}

/// Who has opened a lease is for everybody to see who may list the ruleset.
#[test]
fn nft_shows_who_has_opened() {
    let scene = Scene::new();
    let gate = scene.with_guest();
    let listed = || scene.nft(&["list", "set", "inet", "letmein", "leases4"]);
    assert!(listed().contains("comment \"user 00000001\""), "{}", listed());
    // It is not lost with the rules.
    let mut gate = gate;
    scene.nft(&["flush", "ruleset"]);
    gate.wait_for("leases are put back").unwrap();
    assert!(listed().contains("comment \"user 00000001\""), "{}", listed());
}
