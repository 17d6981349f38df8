//! Chain mode: table and chain are the user's.

use super::scene::{EXAMPLE, Scene};
use letmein_tests::lab::Outcome::{Open, Silent};
use std::{fs, thread::sleep, time::Duration};
use tempfile::TempDir;

/// The example, but as most others begin.
#[test]
fn a_reload_that_flushes_first() {
    let scene = Scene::chain();
    let mut gate = scene.with_guests();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("nftables.conf");
    fs::write(&file, format!("flush ruleset\ninclude \"{EXAMPLE}\"\n")).unwrap();
    for _ in 0..3 {
        scene.destroy_and_heal(&mut gate, &["-f", file.to_str().unwrap()]);
    }
}

/// As `systemctl restart nftables` does it. What is the user's is not made up, but waited for.
#[test]
fn a_flush_and_then_the_ruleset_again() {
    let scene = Scene::chain();
    let mut gate = scene.with_guests();
    scene.nft(&["flush ruleset"]);
    let error = gate.wait_for("cannot be put back").unwrap();
    assert!(
        error.contains("ERROR") && error.contains("table `inet filter` does not exist"),
        "{error}"
    );
    sleep(Duration::from_secs(1));
    assert_eq!(gate.log_so_far(), Vec::<String>::new());
    assert_eq!(scene.nft(&["list ruleset"]), "");
    scene.nft(&["-f", EXAMPLE]);
    gate.wait_for("leases are put back").unwrap();
    assert_eq!(scene.ssh(), [Open, Open, Silent]);
    assert_eq!(scene.leases(4).len(), 3);
}

#[test]
fn the_chain_is_emptied() {
    let scene = Scene::chain();
    let mut gate = scene.with_guests();
    scene.heals(&mut gate, "flush chain inet filter LETMEIN-INPUT");
}

#[test]
fn a_rule_or_a_set_is_deleted() {
    let scene = Scene::chain();
    let mut gate = scene.with_guests();
    let chain = ["-a", "list", "chain", "inet", "filter", "LETMEIN-INPUT"];
    let rules = scene.lab.server.run("nft", &chain).unwrap();
    let rule = rules.lines().find(|rule| rule.contains("IPv4 leases")).unwrap();
    let handle = rule.rsplit_once(' ').unwrap().1;
    scene.heals(
        &mut gate,
        &format!("delete rule inet filter LETMEIN-INPUT handle {handle}"),
    );
    scene.heals(
        &mut gate,
        "flush chain inet filter LETMEIN-INPUT; flush chain inet filter letmein_syn; \
         delete set inet filter letmein_leases4",
    );
}

#[test]
fn the_table_is_deleted_and_loaded_again() {
    let scene = Scene::chain();
    let mut gate = scene.with_guests();
    scene.nft(&["delete table inet filter"]);
    gate.wait_for("table `inet filter` does not exist").unwrap();
    scene.nft(&["-f", EXAMPLE]);
    gate.wait_for("leases are put back").unwrap();
    assert_eq!(scene.ssh(), [Open, Open, Silent]);
}

/// The user's own changes are none of our business.
#[test]
fn a_users_own_rule_heals_nothing() {
    let scene = Scene::chain();
    let mut gate = scene.with_guests();
    let rules = scene.rules();
    scene.nft(&["add rule inet filter input tcp dport 8080 accept"]);
    super::quiet::wait_for_quiet(&scene);
    assert_eq!(scene.rules(), rules);
    assert!(gate.log_so_far().iter().all(|line| !line.contains("put back")));
}
