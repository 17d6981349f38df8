//! Guard mode: the table is ours.

use super::scene::Scene;
use letmein_tests::lab::Outcome::{Open, Silent};
use nix::sys::signal::{Signal, kill};
use std::fs;
use tempfile::TempDir;

#[test]
fn a_flush_of_the_ruleset() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    assert_eq!(scene.ssh(), [Open, Open, Silent]);
    scene.heals(&mut gate, "flush ruleset");
}

/// While nobody puts the guard back (here letmeind is stopped), the XDP program lets nobody begin anything who holds no
/// lease.
#[test]
fn until_the_guard_is_back_the_shield_keeps_strangers_out() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    kill(gate.pid(), Signal::SIGSTOP).unwrap();
    scene.nft(&["flush ruleset"]);
    assert!(!scene.nft(&["list tables"]).contains("letmein"));
    assert_eq!(scene.ssh(), [Open, Open, Silent]);
    kill(gate.pid(), Signal::SIGCONT).unwrap();
    gate.wait_for("changed the firewall: rules and").unwrap();
    assert_eq!(scene.ssh(), [Open, Open, Silent]);
}

/// As `systemctl restart nftables` does it: everything goes, and then comes what is in a file.
#[test]
fn a_reload_of_nftables() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("nftables.conf");
    let ruleset = "flush ruleset\ntable inet mine { chain input { type filter hook input priority 0; }; }\n";
    fs::write(&file, ruleset).unwrap();
    scene.destroy_and_heal(&mut gate, &["-f", file.to_str().unwrap()]);
    assert!(scene.nft(&["list tables"]).contains("inet mine"));
}

/// A ruleset that was saved with our table in it, and with leases that were over long ago.
#[test]
fn a_saved_ruleset_brings_no_leases_back() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    let old = "add element inet letmein leases4 { 10.77.2.2 . tcp . 22 timeout 1h expires 30m }";
    let saved = scene.nft(&["list ruleset"]);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("nftables.conf");
    fs::write(&file, format!("flush ruleset\n{saved}\n{old}\n")).unwrap();
    scene.destroy_and_heal(&mut gate, &["-f", file.to_str().unwrap()]);
}

#[test]
fn the_deletion_of_the_table() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    scene.heals(&mut gate, "delete table inet letmein");
}

#[test]
fn the_deletion_of_a_set() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    scene.heals(
        &mut gate,
        "flush chain inet letmein input; delete set inet letmein leases4",
    );
    scene.heals(
        &mut gate,
        "flush chain inet letmein input; delete set inet letmein leases6",
    );
    scene.heals(
        &mut gate,
        "flush chain inet letmein input; delete set inet letmein protected",
    );
}

#[test]
fn the_deletion_of_the_chain() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    scene.heals(
        &mut gate,
        "flush chain inet letmein input; delete chain inet letmein input",
    );
}

#[test]
fn rules_that_are_deleted_or_added() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    for comment in ["closed ports", "IPv4 leases", "IPv6 leases"] {
        let handle = scene.handle(comment);
        scene.heals(
            &mut gate,
            &format!("delete rule inet letmein input handle {handle}"),
        );
    }
    scene.heals(&mut gate, "flush chain inet letmein input");
    scene.heals(&mut gate, "insert rule inet letmein input accept");
}

#[test]
fn a_guard_that_is_switched_off() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    scene.heals(&mut gate, "delete element inet letmein protected { tcp . 22 }");
    scene.heals(&mut gate, "add table inet letmein { flags dormant; }");
}

#[test]
fn many_flushes_in_a_row() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    for _ in 0..40 {
        scene.nft(&["flush ruleset"]);
    }
    gate.wait_for("leases are put back").unwrap();
    super::quiet::wait_for_quiet(&scene);
    assert_eq!(scene.ssh(), [Open, Open, Silent]);
    gate.log_so_far();
    scene.heals(&mut gate, "flush ruleset");
}

/// Who knocks right after a flush, before anybody has healed, gets in nevertheless.
#[test]
fn a_knock_right_after_a_flush() {
    let scene = Scene::guard();
    let gate = scene.with_guests();
    for _ in 0..5 {
        scene.nft(&["flush ruleset"]);
        scene.knock(&gate);
        assert_eq!(scene.ssh()[0], Open);
    }
}

/// What stands in the way is named once, and nothing of somebody else's is touched. When it has gone, all is put back.
#[test]
fn a_foreign_table_of_our_name() {
    let scene = Scene::guard();
    let mut gate = scene.with_guests();
    let before = scene.leases(4).len();
    scene.nft(&[
        "flush ruleset; add table inet letmein; add map inet letmein m { type ipv4_addr : verdict; }",
    ]);
    let error = gate.wait_for("cannot be put back").unwrap();
    assert!(
        error.contains("ERROR") && error.contains("it holds the map `m`"),
        "{error}"
    );
    assert!(error.contains("`nft delete table inet letmein`"), "{error}");
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(gate.log_so_far(), Vec::<String>::new());
    assert!(scene.nft(&["list table inet letmein"]).contains("map m"));
    scene.nft(&["delete table inet letmein"]);
    gate.wait_for("leases are put back").unwrap();
    assert_eq!(scene.leases(4).len(), before);
    assert_eq!(scene.ssh(), [Open, Open, Silent]);
}

/// Without `nft` nothing can be put back, which is said. As soon as there is one, everything is.
#[test]
fn nft_that_is_missing_for_a_while() {
    let scene = Scene::guard();
    let folder = TempDir::new().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let letmeind = scene.letmeind().under(&[
        "sh",
        "-c",
        "cp \"$(command -v nft)\" \"$0/nft\"; mount --make-rprivate /; \
         for folder in /usr/local/sbin /usr/sbin /sbin; do mount -t tmpfs none $folder; done; \
         PATH=\"$0:$PATH\" exec \"$@\"",
        bin.to_str().unwrap(),
    ]);
    let mut gate = letmeind.start().unwrap();
    scene.knock(&gate);
    fs::rename(bin.join("nft"), folder.path().join("nft")).unwrap();
    scene.nft(&["flush ruleset"]);
    let error = gate.wait_for("cannot be put back").unwrap();
    assert!(
        error.contains("the program `nft` was not found: install nftables"),
        "{error}"
    );
    fs::rename(folder.path().join("nft"), bin.join("nft")).unwrap();
    gate.wait_for("leases are put back").unwrap();
    assert_eq!(scene.ssh(), [Open, Silent, Silent]);
}

/// A running daemon would undo it.
#[test]
fn down_is_refused_while_the_daemon_runs() {
    let scene = Scene::guard();
    let gate = scene.with_guests();
    let error = scene.letmeind().down().unwrap_err().to_string();
    assert!(error.contains("another letmeind runs here already"), "{error}");
    assert_eq!(scene.ssh(), [Open, Open, Silent]);
    gate.stop().unwrap();
    scene.letmeind().down().unwrap();
    assert_eq!(scene.ssh(), [Open, Open, Open]);
}
