//! From the first moment of a boot, through crashes and hangs, ports are closed to strangers.

use crate::scene::Scene;
use letmein_tests::lab::Outcome;

const SERVICE: &str = "letmeind.service";

#[test]
fn ports_are_closed_before_the_network_is_up_and_a_knock_opens_once_the_service_is_active() {
    let scene = Scene::boot("30s");
    let machine = &scene.machine;
    scene.while_a_stranger_tries(|| {
        machine.wait_for_state(SERVICE, "active").unwrap();
        // Active means ready: nothing needs to be waited for.
        assert_eq!(scene.guest(), Outcome::Silent);
        assert_eq!(scene.knock(), 0);
        assert_eq!(scene.guest(), Outcome::Open);
        let status = machine.property(SERVICE, "StatusText").unwrap();
        assert_eq!(status, "serving knocks on port 5800");

        // nftables.service, which flushes everything, came before; the network after.
        let before = machine.run(&["cat", "/run/ruleset-before-the-network"]).unwrap();
        assert!(before.contains("table inet users"), "{before}");
        assert!(before.contains("table inet letmein"), "{before}");

        machine.run(&["systemctl", "stop", SERVICE]).unwrap();
        machine.wait_for_state(SERVICE, "inactive").unwrap();
        // The lease goes on, and so does the guard.
        assert_eq!(scene.guest(), Outcome::Open);
    });
}

#[test]
fn a_crash_and_a_hang_are_followed_by_a_restart() {
    let scene = Scene::boot("2s");
    let machine = &scene.machine;
    machine.wait_for_state(SERVICE, "active").unwrap();
    assert_eq!(scene.knock(), 0);
    scene.while_a_stranger_tries(|| {
        for (number, signal) in [(1, "KILL"), (2, "STOP")] {
            let before = machine.property(SERVICE, "MainPID").unwrap();
            machine
                .run(&["systemctl", "kill", "-s", signal, SERVICE])
                .unwrap();
            machine
                .wait_for("another letmeind serves", |machine| {
                    let restarts = machine.property(SERVICE, "NRestarts").unwrap();
                    let state = machine.property(SERVICE, "ActiveState").unwrap();
                    restarts == number.to_string() && state == "active"
                })
                .unwrap();
            assert_ne!(machine.property(SERVICE, "MainPID").unwrap(), before);
            assert_eq!(scene.guest(), Outcome::Open);
        }
        assert_eq!(scene.knock(), 0);
    });
}
