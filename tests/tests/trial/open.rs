//! Connections that are older than anything that follows connections: they go on as well.

use crate::{
    scene::{Scene, Trial},
    usual,
};
use letmein_tests::lab::Outcome;

fn on_a_machine_without_rules(verb: &str) {
    let scene = Scene::without_rules();
    let mut sessions = ["10.77.2.1:22", "[fd77:2::1]:22"].map(|server| scene.session_with(server));
    let mut trial = Trial::begin(&scene.letmeind(&usual()), verb, "1h");
    if verb == "run" {
        trial.wait_for("ready");
    }
    scene.expect_port(Outcome::Silent);
    // The client is the first to say something.
    for session in &mut sessions {
        session.goes_on();
    }
    assert!(scene.confirm().status.success());
    for session in &mut sessions {
        session.goes_on();
    }
}

#[test]
fn of_a_gate_that_serves_nobody() {
    on_a_machine_without_rules("up");
}

#[test]
fn of_a_gate_that_serves() {
    on_a_machine_without_rules("run");
}
