//! Neither process outlives the other, and ports stay closed.

use crate::scene::Scene;
use letmein_tests::lab::Outcome;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

#[track_caller]
fn ends(process: Pid) {
    let deadline = Instant::now() + Duration::from_secs(20);
    // What has ended is there until somebody has asked how.
    let runs = |stat: String| !stat.contains(") Z ");
    while fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(runs) {
        assert!(Instant::now() < deadline, "it runs on");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_gatekeeper_is_killed() {
    let mut scene = Scene::new();
    let _service = scene.lab.server.listen(22).unwrap();
    kill(scene.gatekeeper(), Signal::SIGKILL).unwrap();
    let line = scene.gate.wait_for("the gatekeeper has ended").unwrap();
    assert!(
        line.contains("ERROR") && line.contains("signal: 9 (SIGKILL)"),
        "{line}"
    );
    assert_eq!(scene.gate.wait().unwrap().code(), Some(1));
    let stranger = scene.lab.other.connect("10.77.2.1:22".parse().unwrap());
    assert_eq!(stranger.unwrap(), Outcome::Silent);
}

/// As the kernel does it at a system call that is in no list.
#[test]
fn the_gatekeeper_is_killed_for_a_system_call() {
    let mut scene = Scene::new();
    kill(scene.gatekeeper(), Signal::SIGSYS).unwrap();
    let line = scene.gate.wait_for("the gatekeeper has ended").unwrap();
    assert!(
        line.contains("a system call that its sandbox does not allow"),
        "{line}"
    );
    assert_eq!(scene.gate.wait().unwrap().code(), Some(1));
}

#[test]
fn the_warden_is_killed() {
    let scene = Scene::new();
    let gatekeeper = scene.gatekeeper();
    scene.gate.kill().unwrap();
    ends(gatekeeper);
}

/// It does not even get to hear of it.
#[test]
fn the_warden_is_killed_and_the_gatekeeper_hangs() {
    let scene = Scene::new();
    let gatekeeper = scene.gatekeeper();
    kill(gatekeeper, Signal::SIGSTOP).unwrap();
    scene.gate.kill().unwrap();
    ends(gatekeeper);
}

#[test]
fn the_warden_is_stopped_and_the_gatekeeper_hangs() {
    let scene = Scene::new();
    let gatekeeper = scene.gatekeeper();
    kill(gatekeeper, Signal::SIGSTOP).unwrap();
    scene.gate.stop().unwrap();
    ends(gatekeeper);
}

/// They are the warden's.
#[test]
fn signals_do_not_end_the_gatekeeper() {
    let scene = Scene::new();
    let gatekeeper = scene.gatekeeper();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGTSTP,
    ] {
        kill(gatekeeper, signal).unwrap();
    }
    assert_eq!(scene.knock(), 0);
    assert_eq!(scene.gatekeeper(), gatekeeper);
}
