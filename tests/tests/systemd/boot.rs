//! From the first moment of a boot, through crashes and hangs, ports are closed to strangers.

use crate::scene::Scene;
use letmein_tests::lab::Outcome;

const SERVICE: &str = "letmeind.service";

#[test]
fn ports_are_closed_before_the_network_is_up() {
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

#[test]
fn a_reload_takes_a_changed_configuration_over() {
    let scene = Scene::boot("30s");
    let machine = &scene.machine;
    machine.wait_for_state(SERVICE, "active").unwrap();
    let _other_service = scene.lab.server.listen(23).unwrap();
    assert_eq!(scene.knock(), 0);
    let pid = machine.property(SERVICE, "MainPID").unwrap();
    let other_port = || scene.lab.client.connect("10.77.1.1:23".parse().unwrap()).unwrap();
    assert_eq!(other_port(), Outcome::Open);
    let append = |lines: &str| {
        let script = format!("printf '{lines}' >>/etc/letmein/letmeind.toml");
        machine.run(&["sh", "-c", &script]).unwrap();
    };
    scene.while_a_stranger_tries(|| {
        append("[resources.other]\\nid = \"2\"\\nports = [\"tcp/23\"]\\n");
        machine.run(&["systemctl", "reload", SERVICE]).unwrap();
        machine
            .wait_for("the other port is closed", |_| other_port() == Outcome::Silent)
            .unwrap();
        assert_eq!(scene.guest(), Outcome::Open);

        append("colour = \"red\"\\n");
        let refused = machine.run(&["systemctl", "reload", SERVICE]);
        assert!(refused.is_err());
        machine.wait_for_state(SERVICE, "active").unwrap();
        assert_eq!(scene.guest(), Outcome::Open);
        assert_eq!(machine.property(SERVICE, "MainPID").unwrap(), pid);
    });
}
