//! `letmeind up`, and rules on trial: they are put back unless somebody confirms them in time. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod earlier;
mod open;
mod scene;

use letmein_tests::{
    gate::{KEY, configuration, letmein},
    lab::Outcome,
};
use nix::sys::signal::Signal;
use scene::{Scene, Trial};

const CLIENT: &str = "[servers.gate]\nhost = \"10.77.1.1\"\nuser = \"00000001\"\nkey-file = \"alice.key\"\n\
     [servers.gate.resources]\nssh = { id = \"00000001\", port = 22 }\n";

fn usual() -> String {
    configuration("", "", "1h")
}

#[test]
fn up_closes_and_serves_nobody() {
    let scene = Scene::new();
    let mut session = scene.session();
    let letmeind = scene.letmeind(&usual());
    assert!(letmeind.command("up").unwrap().status().unwrap().success());
    scene.expect_port(Outcome::Silent);
    session.goes_on();
    // Again, over what is there.
    let rules = scene.ruleset();
    assert!(letmeind.command("up").unwrap().status().unwrap().success());
    assert_eq!(scene.ruleset(), rules);
    letmeind.down().unwrap();
    scene.expect_port(Outcome::Open);
}

#[test]
fn not_confirmed() {
    let scene = Scene::new();
    let before = scene.ruleset();
    let mut session = scene.session();
    let mut trial = Trial::begin(&scene.letmeind(&usual()), "up", "3s");
    scene.expect_port(Outcome::Silent);
    session.goes_on();
    assert_eq!(trial.end(), Some(1));
    assert!(
        trial
            .said
            .contains("everything was put back: not confirmed within 3s"),
        "{}",
        trial.said
    );
    assert_eq!(scene.ruleset(), before);
    scene.expect_port(Outcome::Open);
    session.goes_on();
    let late = scene.confirm();
    assert!(!late.status.success());
    let error = String::from_utf8_lossy(&late.stderr).into_owned();
    assert!(error.contains("nothing waits to be confirmed"), "{error}");
}

#[test]
fn confirmed() {
    let scene = Scene::new();
    let mut trial = Trial::begin(&scene.letmeind(&usual()), "up", "1h");
    scene.expect_port(Outcome::Silent);
    let confirmation = scene.confirm();
    assert!(confirmation.status.success());
    assert_eq!(confirmation.stdout, b"confirmed\n");
    assert_eq!(trial.end(), Some(0));
    scene.expect_port(Outcome::Silent);
    assert!(!scene.confirm().status.success());
}

/// The administrator's connection has broken: nobody reads the log, and the terminal hangs up.
#[test]
fn the_terminal_goes() {
    let scene = Scene::new();
    let before = scene.ruleset();
    let mut trial = Trial::begin(&scene.letmeind(&usual()), "up", "3s");
    scene.expect_port(Outcome::Silent);
    trial.lose_terminal();
    trial.signal(Signal::SIGTSTP);
    assert_eq!(trial.end(), Some(1));
    assert_eq!(scene.ruleset(), before);
    scene.expect_port(Outcome::Open);
}

/// And comes back by another way.
#[test]
fn confirmed_from_elsewhere_after_the_terminal_went() {
    let scene = Scene::new();
    let mut trial = Trial::begin(&scene.letmeind(&usual()), "up", "1h");
    trial.lose_terminal();
    scene.expect_port(Outcome::Silent);
    assert!(scene.confirm().status.success());
    assert_eq!(trial.end(), Some(0));
    scene.expect_port(Outcome::Silent);
}

#[test]
fn who_is_told_to_end_puts_everything_back_at_once() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let scene = Scene::new();
        let before = scene.ruleset();
        let mut trial = Trial::begin(&scene.letmeind(&usual()), "up", "1h");
        scene.expect_port(Outcome::Silent);
        trial.signal(signal);
        assert_eq!(trial.end(), Some(1));
        assert_eq!(scene.ruleset(), before);
        scene.expect_port(Outcome::Open);
    }
}

/// The whole gate on trial: whether a knock lets in can be tried before it counts.
#[test]
fn a_gate_that_serves_is_confirmed_by_who_came_in_through_it() {
    let scene = Scene::new();
    let mut trial = Trial::begin(&scene.letmeind(&usual()), "run", "1h");
    trial.wait_for("ready");
    scene.expect_port(Outcome::Silent);
    let knock = || letmein(&scene.lab.client, CLIENT, &KEY, &["knock", "gate", "ssh"]).unwrap();
    assert_eq!(knock(), 0);
    let ssh = || scene.lab.client.connect("10.77.1.1:22".parse().unwrap()).unwrap();
    assert_eq!(ssh(), Outcome::Open);
    assert!(scene.confirm().status.success());
    trial.wait_for("confirmed");
    assert_eq!(knock(), 0);
    trial.signal(Signal::SIGTERM);
    assert_eq!(trial.end(), Some(0));
    scene.expect_port(Outcome::Silent);
    assert_eq!(ssh(), Outcome::Open);
}

#[test]
fn a_gate_that_serves_and_is_not_confirmed_ends() {
    let scene = Scene::new();
    let before = scene.ruleset();
    let mut trial = Trial::begin(&scene.letmeind(&usual()), "run", "4s");
    scene.expect_port(Outcome::Silent);
    assert_eq!(trial.end(), Some(1));
    assert_eq!(scene.ruleset(), before);
    scene.expect_port(Outcome::Open);
}

/// Nobody is locked out by a gate that was stopped, or could not start, while it was on trial.
#[test]
fn a_gate_that_ends_while_it_is_on_trial() {
    let scene = Scene::new();
    let before = scene.ruleset();
    let mut trial = Trial::begin(&scene.letmeind(&usual()), "run", "1h");
    trial.wait_for("ready");
    trial.signal(Signal::SIGTERM);
    assert_eq!(trial.end(), Some(1));
    assert_eq!(scene.ruleset(), before);

    let nowhere = configuration("addresses = [\"192.0.2.1\"]", "", "1h");
    let mut trial = Trial::begin(&scene.letmeind(&nowhere), "run", "1h");
    assert_eq!(trial.end(), Some(1));
    assert!(
        trial.said.contains("cannot listen on udp 192.0.2.1"),
        "{}",
        trial.said
    );
    assert_eq!(scene.ruleset(), before);
}

/// While it waits, no other may take the network over.
#[test]
fn one_at_a_time() {
    let scene = Scene::new();
    let letmeind = scene.letmeind(&usual());
    let mut trial = Trial::begin(&letmeind, "up", "1h");
    let second = letmeind.command("up").unwrap().output().unwrap();
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(error.contains("another letmeind runs here already"), "{error}");
    assert!(scene.confirm().status.success());
    assert_eq!(trial.end(), Some(0));
}

#[test]
fn times_that_cannot_be() {
    let scene = Scene::new();
    let before = scene.ruleset();
    let letmeind = scene.letmeind(&usual());
    for (time, error) in [
        ("60", "write \"60s\" if you mean seconds"),
        ("0s", "from 1s to 1h"),
    ] {
        let output = letmeind
            .command("up")
            .unwrap()
            .args(["--confirm", time])
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(error), "{said}");
    }
    assert_eq!(scene.ruleset(), before);
}
