//! What letmeind tells the service manager that has started it, and when: a socket plays systemd.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_tests::{
    gate::{Gate, KEY, configuration, program},
    lab::{Lab, Outcome},
    letmeind::Letmeind,
    manager::Manager,
    processes::processes,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
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
fn start(lab: &Lab, socket: &Path) -> Gate {
    let socket = format!("NOTIFY_SOCKET={}", socket.display());
    let watchdog = format!("WATCHDOG_USEC={}", WATCHDOG.as_micros());
    letmeind(lab).under(&["env", &socket, &watchdog]).start().unwrap()
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
    let gate = start(&lab, &manager.path());
    for _ in 0..5 {
        manager.wait_for("WATCHDOG=1").unwrap();
    }
    gate.stop().unwrap();
    manager.wait_for("STOPPING=1").unwrap();
    assert_eq!(manager.next_within(LONG).unwrap(), None);
}

#[test]
fn the_manager_is_told_when_a_reload_begins_and_when_it_is_over_whatever_came_of_it() {
    let lab = Lab::new().unwrap();
    let manager = Manager::listen().unwrap();
    let configuration = TempDir::new().unwrap();
    let (file, key) = (
        configuration.path().join("letmeind.toml"),
        configuration.path().join("alice.key"),
    );
    let started = letmeind(&lab);
    fs::copy(started.key_file(), key).unwrap();
    fs::copy(started.key_file().with_file_name("letmeind.toml"), &file).unwrap();
    let mut process = lab
        .server
        .command("env")
        .arg(format!("NOTIFY_SOCKET={}", manager.path().display()))
        .arg(program("letmeind").unwrap())
        .args(["run", "--config"])
        .arg(&file)
        .spawn()
        .map(Killed)
        .unwrap();
    manager.wait_for("READY=1").unwrap();
    let reload = |status: &str| {
        kill(Pid::from_raw(process.0.id().cast_signed()), Signal::SIGHUP).unwrap();
        let begun = manager.wait_for("RELOADING=1").unwrap();
        assert!(begun.contains("MONOTONIC_USEC="), "{begun}");
        let over = manager.wait_for("READY=1").unwrap();
        assert!(over.contains(status), "{over}");
    };
    reload("STATUS=serving knocks on port 5800\n");
    fs::write(&file, "[gate]\ncolour = \"red\"\n").unwrap();
    reload("the last reload was refused");
    assert!(process.0.try_wait().unwrap().is_none());
}

#[test]
fn a_daemon_that_hangs_does_not_answer_the_watchdog() {
    let lab = Lab::new().unwrap();
    let manager = Manager::listen().unwrap();
    let gate = start(&lab, &manager.path());
    manager.wait_for("WATCHDOG=1").unwrap();
    let both = processes(&gate).unwrap();
    assert_eq!(both.len(), 2, "{both:?}");
    for process in both.into_iter().map(Pid::from_raw) {
        kill(process, Signal::SIGSTOP).unwrap();
        until("nobody answers for the one that hangs", || {
            manager.drain().unwrap();
            manager.next_within(LONG).unwrap().is_none()
        });
        kill(process, Signal::SIGCONT).unwrap();
        manager.wait_for("WATCHDOG=1").unwrap();
    }
    gate.stop().unwrap();
}

#[test]
fn a_manager_that_is_gone_stops_nobody() {
    let lab = Lab::new().unwrap();
    let _service = lab.server.listen(22).unwrap();
    let nowhere = TempDir::new().unwrap();
    let mut gate = start(&lab, &nowhere.path().join("notify"));
    gate.wait_for("cannot tell the service manager").unwrap();
    let knocked = gate.letmein(&lab.client, "10.77.1.1", &KEY, &["knock", "gate", "ssh"]);
    assert_eq!(knocked.unwrap(), 0);
    let guest = lab.client.connect("10.77.1.1:22".parse().unwrap()).unwrap();
    assert_eq!(guest, Outcome::Open);
}
