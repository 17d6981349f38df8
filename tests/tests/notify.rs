//! What letmeind tells the service manager that has started it, and when: a socket plays systemd.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_tests::{
    gate::{Gate, KEY, configuration},
    lab::{Lab, Outcome},
    letmeind::Letmeind,
    manager::Manager,
};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The manager's watchdog.
const WATCHDOG: Duration = Duration::from_millis(400);
/// In this time a daemon that is well has spoken up many times over.
const LONG: Duration = Duration::from_secs(3);

/// A process that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn letmeind(lab: &Lab) -> Letmeind<'_> {
    Letmeind::new(&lab.server, &configuration("", "", "1h")).unwrap()
}

/// With the environment that a service gets.
fn start(lab: &Lab, socket: &Path, further: &[String]) -> Gate {
    let socket = format!("NOTIFY_SOCKET={}", socket.display());
    let watchdog = format!("WATCHDOG_USEC={}", WATCHDOG.as_micros());
    let mut under = vec!["env", &socket, &watchdog];
    under.extend(further.iter().map(String::as_str));
    letmeind(lab).under(&under).start().unwrap()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ready_is_said_when_ports_are_closed_xdp_is_attached_and_sockets_listen() {
    let lab = Lab::new().unwrap();
    let _service = lab.server.listen(22).unwrap();
    let manager = Manager::listen().unwrap();
    // Whoever speaks to this manager waits there: what is not done by then, is not done.
    manager.fill().unwrap();
    let socket = format!("NOTIFY_SOCKET={}", manager.path().display());
    let letmeind = letmeind(&lab).under(&["env", &socket]);
    let _process = Killed(letmeind.command("run").unwrap().spawn().unwrap());
    let run = |program: &str, arguments: &[&str]| lab.server.run(program, arguments).unwrap();
    until("ports are closed", || {
        run("nft", &["list", "tables"]).contains("inet letmein")
    });
    until("XDP is attached", || {
        run("ip", &["link", "show", "to-peer1"]).contains("xdp")
            && run("ip", &["link", "show", "to-peer2"]).contains("xdp")
    });
    until("sockets listen", || {
        run("ss", &["-Hlnu"]).contains(":5800") && run("ss", &["-Hlnt"]).contains(":5800")
    });
    let stranger = lab.other.connect("10.77.2.1:22".parse().unwrap()).unwrap();
    assert_eq!(stranger, Outcome::Silent);
    let said = manager.wait_for("READY=1").unwrap();
    assert!(said.contains("STATUS=serving knocks on port 5800\n"), "{said}");
}

#[test]
fn a_daemon_that_is_well_answers_the_watchdog_and_a_stop_is_told() {
    let lab = Lab::new().unwrap();
    let manager = Manager::listen().unwrap();
    let gate = start(&lab, &manager.path(), &[]);
    for _ in 0..5 {
        manager.wait_for("WATCHDOG=1").unwrap();
    }
    gate.stop().unwrap();
    manager.wait_for("STOPPING=1").unwrap();
    assert_eq!(manager.next_within(LONG).unwrap(), None);
}

#[test]
fn a_daemon_that_hangs_does_not_answer_the_watchdog() {
    let lab = Lab::new().unwrap();
    let manager = Manager::listen().unwrap();
    // An nft that does not end, while a file is there.
    let folder = TempDir::new().unwrap();
    let (nft, hangs) = (folder.path().join("nft"), folder.path().join("hangs"));
    let script =
        "#!/bin/sh\nwhile [ -e \"${0%/nft}/hangs\" ]; do sleep 0.05; done\nexec /usr/sbin/nft \"$@\"\n";
    fs::write(&nft, script).unwrap();
    fs::set_permissions(&nft, Permissions::from_mode(0o755)).unwrap();
    let path = format!("PATH={}:/usr/sbin:/usr/bin", folder.path().display());
    let mut gate = start(&lab, &manager.path(), &[path]);
    manager.wait_for("WATCHDOG=1").unwrap();

    fs::write(&hangs, "").unwrap();
    // So that the daemon has rules to put back, by nft.
    lab.server.run("nft", &["flush", "ruleset"]).unwrap();
    until("the daemon waits for nft", || {
        manager.drain().unwrap();
        manager.next_within(LONG).unwrap().is_none()
    });
    fs::remove_file(&hangs).unwrap();
    manager.wait_for("WATCHDOG=1").unwrap();
    gate.wait_for("put back").unwrap();
}

#[test]
fn a_manager_that_is_gone_stops_nobody() {
    let lab = Lab::new().unwrap();
    let _service = lab.server.listen(22).unwrap();
    let nowhere = TempDir::new().unwrap();
    let mut gate = start(&lab, &nowhere.path().join("notify"), &[]);
    gate.wait_for("cannot tell the service manager").unwrap();
    let knocked = gate.letmein(&lab.client, "10.77.1.1", &KEY, &["knock", "gate", "ssh"]);
    assert_eq!(knocked.unwrap(), 0);
    let guest = lab.client.connect("10.77.1.1:22".parse().unwrap()).unwrap();
    assert_eq!(guest, Outcome::Open);
}
