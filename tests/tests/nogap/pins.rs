//! What is pinned, for whom, and how it goes away.

use crate::scene::Scene;
use letmein_tests::{gate::configuration, lab::Outcome, letmeind::Letmeind};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
};

const ALL: [&str; 4] = ["accounts-1", "link-auto", "link-auto", "salts-1"];

#[test]
fn only_root_gets_there() {
    let scene = Scene::new();
    let gate = scene.start("silent = true");
    assert_eq!(
        scene.pins(),
        ["accounts-1", "link-auto", "link-auto", "nonces-2", "salts-1"]
    );
    let folder = scene.bpffs.pins();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    gate.stop().unwrap();
    // A folder that was there before.
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    let gate = scene.start("");
    assert_eq!(mode(&folder), 0o700);
    drop(gate);
}

#[test]
fn somebody_elses_folder_is_not_used() {
    let scene = Scene::new();
    fs::create_dir(scene.bpffs.pins()).unwrap();
    chown(scene.bpffs.pins(), Some(65534), None).unwrap();
    let failure = scene
        .letmeind(&scene.configuration("silent = true"))
        .fail()
        .unwrap();
    assert!(failure.log.contains("not a folder of root's"), "{}", failure.log);
    // Only silent knocks cannot do without.
    let gate = scene
        .letmeind(&scene.configuration(""))
        .start_and_wait_for("the XDP program ends with letmeind")
        .unwrap();
    assert_eq!(scene.pins(), [""; 0]);
    gate.kill().unwrap();
    assert_eq!(scene.program("to-peer1"), None);
    assert_eq!(scene.stranger_meets(), Outcome::Silent);
}

#[test]
fn down_removes_all() {
    let scene = Scene::new();
    scene.start("").kill().unwrap();
    assert_eq!(scene.pins(), ALL);
    let letmeind = scene.letmeind(&scene.configuration(""));
    letmeind.down().unwrap();
    assert!(!scene.bpffs.pins().exists());
    assert_eq!(scene.program("to-peer1"), None);
    assert_eq!(scene.stranger_meets(), Outcome::Open);
    letmeind.down().unwrap();
}

#[test]
fn off_removes_all() {
    let scene = Scene::new();
    scene.start("").kill().unwrap();
    let gate = scene.start("xdp = \"off\"");
    assert_eq!(scene.pins(), [""; 0]);
    assert_eq!(scene.program("to-peer1"), None);
    assert_eq!(scene.stranger_meets(), Outcome::Silent);
    drop(gate);
}

#[test]
fn an_interface_that_is_not_configured_any_more() {
    let scene = Scene::new();
    scene.start("").kill().unwrap();
    let one = scene.configuration("").replace(", \"to-peer2\"", "");
    let gate = scene
        .letmeind(&one)
        .start_and_wait_for("XDP program detached from to-peer2")
        .unwrap();
    assert_eq!(scene.pins(), ["accounts-1", "link-auto", "salts-1"]);
    assert_eq!(scene.program("to-peer2"), None);
    drop(gate);
}

/// Interfaces go and come while nobody is there. What is left of them is tidied up.
#[test]
fn an_interface_that_was_made_again() {
    let scene = Scene::new();
    scene.start("").kill().unwrap();
    scene.lab.server.run("ip", &["link", "del", "to-peer1"]).unwrap();
    scene.lab.join(1).unwrap();
    let gate = scene.start("");
    assert_eq!(scene.pins(), ALL);
    assert!(scene.program("to-peer1").is_some());
    scene.knock(&gate);
    assert_eq!(scene.guest_meets(), Outcome::Open);
}

/// One that is called otherwise now is not forgotten.
#[test]
fn an_interface_that_was_renamed() {
    let scene = Scene::new();
    scene.start("").kill().unwrap();
    let rename = "ip link set to-peer2 down; ip link set to-peer2 name wan0; ip link set wan0 up";
    scene.lab.server.run("sh", &["-c", rename]).unwrap();
    let renamed = scene.configuration("").replace("to-peer2", "wan0");
    let gate = scene
        .letmeind(&renamed)
        .start_and_wait_for("attached to wan0, in the place of the one before")
        .unwrap();
    assert_eq!(scene.pins(), ALL);
    drop(gate);
}

/// What cannot start leaves what was there.
#[test]
fn a_failed_start() {
    let scene = Scene::new();
    scene.start("").kill().unwrap();
    let before = [scene.program("to-peer1"), scene.program("to-peer2")];
    let missing = scene
        .configuration("")
        .replace("\"to-peer1\"", "\"nowhere0\", \"to-peer1\"");
    assert!(scene.letmeind(&missing).fail().unwrap().log.contains("nowhere0"));
    assert_eq!([scene.program("to-peer1"), scene.program("to-peer2")], before);
    let taken = scene.configuration("addresses = [\"192.0.2.1\"]");
    scene.letmeind(&taken).fail().unwrap();
    assert_eq!([scene.program("to-peer1"), scene.program("to-peer2")], before);
}

/// Two network namespaces with one folder, as containers have it that share the machine's `/sys/fs/bpf`.
#[test]
fn one_folder_for_two() {
    let scene = Scene::new();
    let other = Scene::new();
    let first = scene.start("");
    let text = configuration(&scene.bpffs.setting(), "", "1h");
    let second = Letmeind::new(&other.lab.server, &text).unwrap().start().unwrap();
    assert_eq!(scene.pins().len(), 6);
    second.kill().unwrap();
    let before = scene.program("to-peer1");
    let letmeind = Letmeind::new(&other.lab.server, &text).unwrap();
    letmeind.down().unwrap();
    assert_eq!(other.program("to-peer1"), None);
    assert_eq!(scene.program("to-peer1"), before);
    scene.knock(&first);
    assert_eq!(scene.guest_meets(), Outcome::Open);
}

/// `up` closes other ports than the program of an earlier run knows of.
#[test]
fn up_renews_what_is_attached() {
    let scene = Scene::new();
    scene.start("").kill().unwrap();
    let before = scene.program("to-peer1");
    let open = scene.configuration("").replace("tcp/22", "tcp/2222");
    let letmeind = scene.letmeind(&open);
    assert!(letmeind.command("up").unwrap().status().unwrap().success());
    assert_ne!(scene.program("to-peer1"), before);
    assert_eq!(scene.stranger_meets(), Outcome::Open);
    let port = "10.77.2.1:2222".parse().unwrap();
    assert_eq!(scene.lab.other.connect(port).unwrap(), Outcome::Silent);
    letmeind.down().unwrap();
    // Where nothing is attached, it attaches nothing.
    assert!(letmeind.command("up").unwrap().status().unwrap().success());
    assert_eq!(scene.program("to-peer1"), None);
}
