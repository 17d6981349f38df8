//! Disks that are full: the log's, and that of the folder where letmeind keeps what it wants to know after a restart.

use crate::scene::{GATE, Scene};
use letmein_tests::{
    gate::{KEY, letmein},
    lab::{Lab, Outcome},
    letmeind::Letmeind,
    nft::leases,
    processes::Usage,
    wait::wait_until,
};
use nix::sys::signal::{Signal, kill};
use std::{
    fs,
    io::{ErrorKind, Write as _},
    process::{Child, Command, Stdio},
};
use tempfile::{NamedTempFile, TempDir};

/// Every write to it fails as one to a full disk does.
const FULL_LOG: [&str; 4] = ["sh", "-c", "exec \"$@\" 2>/dev/full", "sh"];
/// More than letmeind leaves to the kernel when it is stopped.
const MANY: u32 = 70_000;

/// A folder on a disk of its own on which files can be made, but not written.
struct FullDisk(TempDir);

impl FullDisk {
    fn new() -> Self {
        let disk = Self(TempDir::new().unwrap());
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k,mode=700", "none"])
            .arg(disk.0.path())
            .status();
        assert!(mounted.unwrap().success());
        let filler = fs::write(disk.0.path().join("filler"), vec![0; 1 << 20]);
        assert_eq!(filler.unwrap_err().kind(), ErrorKind::StorageFull);
        disk
    }

    /// Starts a program for which it is the folder of letmeind's state (`ip netns exec` has made a mount namespace).
    fn starter(&self) -> [String; 4] {
        let state = "/run/letmeind";
        let script = format!(
            "mkdir -p {state} && mount --bind '{}' {state} && exec \"$@\"",
            self.0.path().display()
        );
        ["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()]
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn knock(lab: &Lab, verb: &str) -> i32 {
    let configuration = format!(
        "[servers.gate]\nhost = \"{GATE}\"\nuser = \"1\"\ntimeout = \"2s\"\nkey-file = \"alice.key\"\n\
         [servers.gate.resources]\nssh = {{ id = \"1\", port = 22 }}\n"
    );
    letmein(&lab.client, &configuration, &KEY, &[verb, "gate", "ssh"]).unwrap()
}

/// Nobody hears of it, and everything else goes on: who is let in, who is not, and the end.
#[test]
fn a_full_disk_under_the_log_stops_nothing() {
    let scene = Scene::new();
    let letmeind = Letmeind::new(&scene.lab.server, &scene.configuration("")).unwrap();
    let letmeind = letmeind.under(&FULL_LOG);
    let mut command = letmeind.command("run").unwrap();
    let mut running = Running(command.stderr(Stdio::null()).spawn().unwrap());
    wait_until("it serves", || knock(&scene.lab, "knock") == 0);
    for _ in 0..2 {
        assert_eq!(
            (scene.port(), scene.port_of_other()),
            (Outcome::Open, Outcome::Silent)
        );
        assert_eq!(knock(&scene.lab, "revoke"), 0);
        assert_eq!(scene.port(), Outcome::Silent);
        assert_eq!(knock(&scene.lab, "knock"), 0);
    }
    // Somebody takes the rules away, which is worth a line in the log.
    scene.lab.server.run("nft", &["flush ruleset"]).unwrap();
    wait_until("they are back", || {
        let rules = scene.lab.server.run("nft", &["list ruleset"]).unwrap();
        rules.contains("10.77.1.2 . tcp . 22")
    });
    assert_eq!(
        (scene.port(), scene.port_of_other()),
        (Outcome::Open, Outcome::Silent)
    );
    let process = nix::unistd::Pid::from_raw(running.0.id().cast_signed());
    kill(process, Signal::SIGTERM).unwrap();
    assert!(running.0.wait().unwrap().success());
    assert_eq!(
        (scene.port(), scene.port_of_other()),
        (Outcome::Open, Outcome::Silent)
    );
}

/// What cannot be written down for the next start is read from the kernel by it.
#[test]
fn a_full_disk_under_the_state_loses_no_lease() {
    let scene = Scene::new();
    let most = format!("max-leases = {}", MANY + 10);
    let configuration = scene.configuration_with("", &most);
    let disk = FullDisk::new();
    let starter = disk.starter();
    let starter: Vec<_> = starter.iter().map(String::as_str).collect();
    let start = || {
        let letmeind = Letmeind::new(&scene.lab.server, &configuration).unwrap();
        letmeind.under(&starter).start().unwrap()
    };
    let mut gate = start();
    assert_eq!(knock(&scene.lab, "knock"), 0);
    // Each lease takes some bytes of the shield's map.
    let shield = || Usage::of(&gate).unwrap().maps.into_values().sum::<u64>();
    let before = shield();
    open_many(&scene);
    wait_until("letmeind knows of all of them", || {
        shield() > before + u64::from(MANY) * 40
    });
    kill(gate.pid(), Signal::SIGTERM).unwrap();
    gate.wait_for("so the next start will take longer").unwrap();
    drop(gate);
    let gate = start();
    let held = leases(&scene.lab.server, "letmein", "leases4").unwrap();
    assert_eq!(held.len(), MANY as usize + 1);
    assert_eq!(
        (scene.port(), scene.port_of_other()),
        (Outcome::Open, Outcome::Silent)
    );
    gate.stop().unwrap();
}

/// Leases of addresses that nobody has, added by root.
fn open_many(scene: &Scene) {
    let mut file = NamedTempFile::new().unwrap();
    for number in 0..MANY {
        let address = std::net::Ipv4Addr::from(0x0A63_0000 + number);
        let element = format!("{address} . tcp . 22 timeout 1h");
        writeln!(file, "add element inet letmein leases4 {{ {element} }}").unwrap();
    }
    let path = file.path().to_str().unwrap();
    scene.lab.server.run("nft", &["-f", path]).unwrap();
}
