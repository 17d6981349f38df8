//! Everything that a resource can have comes back when somebody flushes the ruleset, with the leases.

use super::{SERVER, SERVER_V6, alice, gate};
use letmein_tests::{lab::Lab, nft::leases};
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// The ruleset without handles, counters and the clocks of elements.
fn rules(lab: &Lab) -> String {
    lab.server.run("nft", &["-s", "-t", "list", "ruleset"]).unwrap()
}

fn holders(lab: &Lab, table: &str, set: &str) -> Vec<String> {
    let leases = leases(&lab.server, table, set).unwrap_or_default();
    leases.into_iter().map(|lease| lease.key).collect()
}

#[track_caller]
fn comes_back(lab: &Lab, rules_before: &str, what: impl Fn() -> Vec<Vec<String>>) {
    let before = what();
    assert!(before.iter().all(|set| set.len() == 1), "{before:?}");
    lab.server.run("nft", &["flush", "ruleset"]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while rules(lab) != rules_before || what() != before {
        assert!(Instant::now() < deadline, "{} {:?}", rules(lab), what());
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn ranges_prefixes_what_is_forwarded_and_what_is_cut() {
    let lab = Lab::new().unwrap();
    let resource = "[resources.all]\nid = \"00000001\"\nports = [\"tcp/22\", \"udp/60000-61000\"]\nlease = \"1h\"\n\
                    ipv6-prefix = 64\nforward = true\ncut = true";
    let running = gate(&lab, "", resource);
    for server in [SERVER, SERVER_V6] {
        assert_eq!(alice(&lab.client, server, "knock"), 0);
    }
    let sets = [
        "leases4",
        "leases6_64",
        "leases4_udp_60000-61000",
        "leases6_64_udp_60000-61000",
    ];
    comes_back(&lab, &rules(&lab), || {
        sets.map(|set| holders(&lab, "letmein", set)).into()
    });
    assert_eq!(alice(&lab.client, SERVER, "revoke"), 0);
    assert_eq!(holders(&lab, "letmein", sets[0]), [""; 0]);
    drop(running);
}

/// Without a word to letmeind, by deleting the elements: that is a revocation, too.
#[test]
fn who_is_deleted_from_a_set_is_cut_off() {
    let lab = Lab::new().unwrap();
    let ssh = lab.server.listen(22).unwrap();
    let resource = "[resources.ssh]\nid = \"00000001\"\nports = [\"tcp/22\"]\nlease = \"1h\"\ncut = true";
    let mut running = gate(&lab, "", resource);
    assert_eq!(alice(&lab.client, SERVER, "knock"), 0);
    let mut stream = super::stream::Stream::open(&lab.client, "10.77.1.1:22", &ssh);
    assert!(stream.works());
    let delete = "delete element inet letmein leases4 { 10.77.1.2 . tcp . 22 }";
    lab.server.run("nft", &[delete]).unwrap();
    running.wait_for("ended 1 connections").unwrap();
    assert!(stream.is_dead());
}
