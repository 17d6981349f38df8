//! With `letmeind.socket`, systemd holds the control port: nobody who knocks is turned away while letmeind is restarted.

use crate::{documents::hold_the_control_port, scene::Scene};
use letmein_tests::lab::Outcome;

const SERVICE: &str = "letmeind.service";
const SOCKET: &str = "letmeind.socket";

fn boot() -> Scene {
    let scene = Scene::boot("30s");
    scene.machine.wait_for_state(SERVICE, "active").unwrap();
    hold_the_control_port(&scene);
    scene.machine.wait_for_state(SERVICE, "active").unwrap();
    scene
}

#[test]
fn it_is_letmeinds_over_udp_and_tcp() {
    let scene = boot();
    assert_eq!(scene.machine.property(SOCKET, "SubState").unwrap(), "running");
    assert_eq!(scene.guest(), Outcome::Silent);
    assert_eq!(scene.knock(), 0);
    assert_eq!(scene.knock_over_tcp(), 0);
    assert_eq!(scene.guest(), Outcome::Open);
    let log = scene.machine.log(SERVICE);
    assert!(!log.contains("service manager"), "{log}");
}

#[test]
fn nobody_is_turned_away_during_restarts() {
    let scene = boot();
    let machine = &scene.machine;
    let control = "10.77.1.1:5800".parse().unwrap();
    for signal in ["KILL", "TERM"] {
        let before = machine.property(SERVICE, "MainPID").unwrap();
        if signal == "KILL" {
            machine
                .run(&["systemctl", "kill", "-s", signal, SERVICE])
                .unwrap();
        } else {
            machine
                .run(&["systemctl", "--no-block", "restart", SERVICE])
                .unwrap();
        }
        machine
            .wait_for("another letmeind serves", |machine| {
                assert_eq!(scene.lab.client.connect(control).unwrap(), Outcome::Open);
                machine.property(SERVICE, "MainPID").unwrap() != before
                    && machine.property(SERVICE, "ActiveState").unwrap() == "active"
            })
            .unwrap();
        assert_eq!(scene.knock_over_tcp(), 0);
    }
}

#[test]
fn who_knocks_starts_it() {
    let scene = boot();
    let machine = &scene.machine;
    machine.run(&["systemctl", "stop", SERVICE]).unwrap();
    machine.wait_for_state(SERVICE, "inactive").unwrap();
    assert_eq!(scene.knock_over_tcp(), 0);
    machine.wait_for_state(SERVICE, "active").unwrap();
    assert_eq!(scene.guest(), Outcome::Open);
}
