//! What docs/operations.md says about systemd, typed as it is written there.

use crate::scene::Scene;
use letmein_tests::{document::commands_for, lab::Outcome, machine::Root};
use std::process::Command;

const SERVICE: &str = "letmeind.service";

fn commands(place: &str, moment: &str) -> Vec<String> {
    commands_for("docs/operations.md", place, moment).unwrap()
}

/// Whoever types this is in a folder with a new `letmeind` in it.
fn type_in(scene: &Scene, moment: &str) {
    for command in commands("systemd", moment) {
        eprintln!("{command}");
        let script = format!("cd /run/new; {command}");
        scene.machine.run(&["sh", "-ec", &script]).unwrap();
    }
}

/// Has systemd hold the control port.
pub fn hold_the_control_port(scene: &Scene) {
    for command in commands("systemd", "socket") {
        scene.machine.run(&["sh", "-ec", &command]).unwrap();
    }
}

fn stranger(scene: &Scene) -> Outcome {
    scene.lab.other.connect("10.77.2.1:22".parse().unwrap()).unwrap()
}

/// Where there is a new program, and programs can be replaced.
const MAKE_ROOM: &str = "mkdir /run/new /run/changes /run/work; cp /usr/sbin/letmeind /run/new
mount -t overlay -o lowerdir=/usr/sbin,upperdir=/run/changes,workdir=/run/work overlay /usr/sbin";

/// Has nothing of ours started at the next boot, as somebody does who has the machine's files at /mnt.
fn rescue(root: &Root) {
    for command in commands("rescue", "") {
        let script = format!("mount --rbind \"$0\" /mnt; {command}");
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "sh", "-ec", &script]).arg(root.path(""));
        assert!(shell.status().unwrap().success(), "{command}");
    }
}

#[test]
fn started_upgraded_and_opened_again() {
    let scene = Scene::boot_after("30s", rescue);
    let machine = &scene.machine;
    machine.run(&["sh", "-ec", MAKE_ROOM]).unwrap();
    machine
        .wait_for("the network is up", |_| stranger(&scene) == Outcome::Open)
        .unwrap();
    type_in(&scene, "start");
    machine.wait_for_state(SERVICE, "active").unwrap();
    scene.while_a_stranger_tries(|| {
        assert_eq!(scene.knock(), 0);
        type_in(&scene, "look");
        let before = machine.property(SERVICE, "MainPID").unwrap();
        type_in(&scene, "upgrade");
        machine.wait_for_state(SERVICE, "active").unwrap();
        assert_ne!(machine.property(SERVICE, "MainPID").unwrap(), before);
        assert_eq!(scene.guest(), Outcome::Open);
    });
    type_in(&scene, "down");
    assert_eq!(stranger(&scene), Outcome::Open);
    type_in(&scene, "start");
    assert_eq!(stranger(&scene), Outcome::Silent);
    hold_the_control_port(&scene);
    machine.wait_for_state(SERVICE, "active").unwrap();
    type_in(&scene, "by-hand");
    // Nor does a knock start it again.
    assert_ne!(scene.knock_over_tcp(), 0);
    assert_eq!(machine.property(SERVICE, "ActiveState").unwrap(), "inactive");
    assert_eq!(stranger(&scene), Outcome::Open);
}

#[test]
fn rescued() {
    let scene = Scene::boot_after("30s", rescue);
    let machine = &scene.machine;
    machine.wait_for_state("multi-user.target", "active").unwrap();
    for unit in [SERVICE, "letmeind-guard.service"] {
        assert_eq!(machine.property(unit, "ActiveState").unwrap(), "inactive");
    }
    assert_eq!(stranger(&scene), Outcome::Open);
}
