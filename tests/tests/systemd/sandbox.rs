//! What the units keep the daemon from, and that it can do all it has to.

use crate::scene::{Scene, WATCHERS, unit};
use std::process::Command;

/// Both units: the score, from 0 to 10, that `systemd-analyze security` gives may be no higher.
const EXPOSURE: f32 = 2.5;

#[test]
fn both_units_are_hardly_exposed() {
    for name in ["letmeind.service", "letmeind-guard.service"] {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(unit(name))
            .output()
            .unwrap();
        let table = String::from_utf8_lossy(&output.stdout);
        let (_, overall) = table.split_once("Overall exposure level for ").unwrap();
        let score: f32 = overall.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(score <= EXPOSURE, "{table}");
    }
}

#[test]
fn the_units_are_right_and_the_daemon_misses_nothing() {
    let scene = Scene::boot("30s");
    let machine = &scene.machine;
    machine.wait_for_state("letmeind.service", "active").unwrap();
    let verified = machine
        .command(&[
            "systemd-analyze",
            "verify",
            "--man=no",
            "letmeind.service",
            "letmeind-guard.service",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !said.contains("letmeind"), "{said}");

    assert_eq!(scene.knock(), 0);
    let log = machine.log("letmeind*");
    assert!(
        log.contains("ready") && !log.contains("WARN") && !log.contains("ERROR"),
        "{log}"
    );
    // Rules that are put back take nft, which the daemon starts.
    machine
        .run(&["nft", "delete", "table", "inet", "letmein"])
        .unwrap();
    machine
        .wait_for("rules are put back", |machine| {
            machine.log("letmeind.service").contains("put back")
        })
        .unwrap();
    machine
        .run(&["test", "-e", "/sys/fs/bpf/letmein/nonces-2"])
        .unwrap();

    let pid = machine.property("letmeind.service", "MainPID").unwrap();
    let status = machine.run(&["cat", &format!("/proc/{pid}/status")]).unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    // The daemon sees what is in its unit's mount namespace, and nobody can write there.
    for path in [
        "etc",
        "proc/sys/net",
        "run",
        "run/systemd/system",
        "sys/fs/bpf",
        "usr",
        "var",
    ] {
        let written = machine.run(&[
            "nsenter",
            "-t",
            &pid,
            "-m",
            "mkdir",
            &format!("/{path}/by-a-test"),
        ]);
        assert!(written.is_err(), "{path}");
    }
}

#[test]
fn operators_are_served() {
    let scene = Scene::boot("30s");
    let machine = &scene.machine;
    machine.wait_for_state("letmeind.service", "active").unwrap();
    let status = ["/usr/sbin/letmeind", "status"];
    let told = machine.run(&status).unwrap();
    assert!(told.contains("to-peer1         native"), "{told}");
    let group = WATCHERS.to_string();
    let nobody = ["setpriv", "--reuid=65533", "--clear-groups", "--regid"];
    let as_one = |group| [nobody.as_slice(), &[group], &status].concat();
    assert_eq!(
        machine.run(&as_one(&group)).unwrap().lines().count(),
        told.lines().count()
    );
    assert!(machine.run(&as_one("65533")).is_err());
}
