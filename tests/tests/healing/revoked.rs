//! Who deletes a lease with nft means it, also when everything is flushed afterwards.

use super::scene::Scene;
use letmein_tests::lab::Outcome::{Open, Silent};
use letmein_tests::wait::wait_until;

#[test]
fn a_deleted_lease_stays_deleted() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    scene.nft(&["delete element inet letmein leases4 { 10.77.1.2 . tcp . 22 }"]);
    gate.wait_for("deleted 1 leases from nftables: they are revoked")
        .unwrap();
    scene.nft(&["flush ruleset"]);
    gate.wait_for("rules and 3 leases are put back").unwrap();
    assert_eq!(scene.ssh(), [Silent, Open, Silent]);
    // It may be opened again, and then is healed as well.
    scene.knock(&gate);
    scene.nft(&["flush ruleset"]);
    gate.wait_for("rules and 4 leases are put back").unwrap();
    assert_eq!(scene.ssh(), [Open, Open, Silent]);
}

#[test]
fn a_flushed_set_stays_empty() {
    let scene = Scene::chain();
    let mut gate = scene.with_guests();
    scene.nft(&["flush set inet filter letmein_leases4"]);
    gate.wait_for("deleted 3 leases from nftables: they are revoked")
        .unwrap();
    scene.nft(&["flush chain inet filter LETMEIN-INPUT; flush chain inet filter letmein_syn; delete set inet filter letmein_leases4"]);
    gate.wait_for("rules and 0 leases are put back").unwrap();
    assert_eq!(scene.ssh(), [Silent, Open, Silent]);
}

/// In one breath with what puts everything else back.
#[test]
fn deleted_and_flushed_at_once() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    let both = "nft 'delete element inet letmein leases4 { 10.77.1.2 . tcp . 22 }'; nft flush ruleset";
    scene.lab.server.run("sh", &["-c", both]).unwrap();
    gate.wait_for("rules and 3 leases are put back").unwrap();
    assert_eq!(scene.ssh(), [Silent, Open, Silent]);
}

/// The kernel's own expiry is no revocation, and what is over does not come back.
#[test]
fn a_lease_that_is_over_is_neither_revoked_nor_put_back() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    scene.nft(&["add element inet letmein leases4 { 10.77.2.2 . tcp . 22 timeout 2s }"]);
    assert_eq!(scene.ssh(), [Open, Open, Open]);
    scene.nft(&["flush ruleset"]);
    gate.wait_for("rules and 5 leases are put back").unwrap();
    wait_until("the lease is over", || scene.leases(4).len() == 3);
    assert_eq!(scene.ssh(), [Open, Open, Silent]);
    scene.nft(&["flush ruleset"]);
    gate.wait_for("rules and 4 leases are put back").unwrap();
    assert_eq!(scene.ssh(), [Open, Open, Silent]);
    assert!(gate.log_so_far().iter().all(|line| !line.contains("revoked")));
}
