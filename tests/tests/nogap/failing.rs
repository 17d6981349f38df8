//! A reload on whose way a system call fails: strace makes it. Either nothing has changed, and who has asked is told so;
//! or letmeind ends and says so, and ports stay closed. There is nothing in between.

use crate::{reload::Changeable, scene::Scene};
use letmein_tests::{
    gate::{KEY, letmein},
    lab::Outcome,
    letmeind::{NOBODY, complete},
    nft::leases,
    wait::wait_until,
};
use nix::unistd::Pid;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};
use tempfile::TempDir;

/// Nothing that is looked at here takes as many calls.
const ENDLESS: usize = 250;

/// A system call that strace makes fail looks to seccomp like one that does not exist.
fn usual(scene: &Scene) -> String {
    let daemon = format!("[daemon]\nuser = \"{NOBODY}\"\nseccomp = \"off\"\n");
    scene.configuration("silent = true") + &daemon
}

/// The configuration before the reload: Alice may open `tcp/23` as well.
fn before(scene: &Scene) -> String {
    usual(scene).replace("resources = [\"ssh\"]", "resources = [\"ssh\", \"admin\"]")
}

/// The one that it is about: `tcp/24` instead, and leases end sooner.
fn after(scene: &Scene) -> String {
    let web = "[resources.web]\nid = \"4\"\nports = [\"tcp/24\"]\n[users.alice]";
    usual(scene)
        .replace("lease = \"1h\"", "lease = \"10m\"")
        .replace("[users.alice]", web)
        .replace("resources = [\"ssh\"]", "resources = [\"ssh\", \"web\"]")
}

/// What others see of a configuration.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    programs: [Option<(String, String)>; 2],
    /// nft lists sets in the order in which they were made.
    rules: BTreeSet<String>,
    /// Each with whether it lasts for more than half an hour.
    leases: Vec<(String, bool)>,
    pins: Vec<String>,
}

fn seen(scene: &Scene) -> Seen {
    let rules = scene.nft(&["-s", "list", "ruleset"]);
    let rules = rules.split("\n\n");
    let rules = rules.map(|object| {
        let lines = object.trim_end_matches(['\n', '}']).lines();
        // What is left of leases is told below.
        let lines = lines.filter(|line| !line.contains("expires") && !line.contains("timeout "));
        lines.collect::<Vec<_>>().join("\n")
    });
    let mut open = leases(&scene.lab.server, "letmein", "leases4").unwrap();
    open.sort_by(|one, other| one.key.cmp(&other.key));
    Seen {
        programs: ["to-peer1", "to-peer2"].map(|interface| scene.program(interface)),
        rules: rules.collect(),
        leases: open
            .into_iter()
            .map(|lease| (lease.key, lease.left > Duration::from_mins(30)))
            .collect(),
        pins: scene.pins(),
    }
}

/// Whether both processes let Alice open this resource.
fn opens(scene: &Scene, resource: &str) -> bool {
    let text = "[servers.gate]\nhost = \"10.77.1.1\"\nuser = \"1\"\nkey-file = \"alice.key\"\n\
                [servers.gate.resources]\nadmin = { id = \"2\", port = 23 }\nweb = { id = \"4\", port = 24 }\n";
    letmein(&scene.lab.client, text, &KEY, &["knock", "gate", resource]).unwrap() == 0
}

/// strace, attached to a process.
struct Strace {
    process: Child,
    said: PathBuf,
}

impl Strace {
    /// Makes these calls fail as `inject` says.
    fn attach(folder: &Path, pid: Pid, calls: &str, inject: &str) -> Self {
        let said = folder.join("strace");
        fs::write(&said, "").unwrap();
        let process = Command::new("strace")
            .arg("--quiet=all")
            .arg(format!("--output={}", said.display()))
            .args(["-p", &pid.to_string(), "-e", &format!("trace={calls}")])
            .args(["-e", &format!("inject={calls}:{inject}")])
            .spawn()
            .unwrap();
        let status = format!("/proc/{pid}/status");
        wait_until("strace is there", || {
            !fs::read_to_string(&status).unwrap().contains("TracerPid:\t0\n")
        });
        Self { process, said }
    }

    /// Lets go of the process. Returns whether any call was made to fail.
    fn end(mut self) -> bool {
        let _ended = nix::sys::signal::kill(
            Pid::from_raw(self.process.id().cast_signed()),
            nix::sys::signal::Signal::SIGTERM,
        );
        self.process.wait().unwrap();
        fs::read_to_string(&self.said).unwrap().contains("(INJECTED)")
    }
}

/// What became of a reload.
#[derive(Debug, PartialEq, Eq)]
enum Outcomes {
    Done,
    Refused,
    Ended,
}

/// Has the gate read another configuration, while these calls fail. Returns what came of it, and whether any call failed.
fn reload(gate: &mut Changeable, text: &str, calls: &str, inject: &str) -> (Outcomes, bool) {
    let folder = TempDir::new().unwrap();
    fs::write(&gate.file, complete(text, gate.file.parent().unwrap())).unwrap();
    let strace = Strace::attach(folder.path(), gate.gate.pid(), calls, inject);
    let answer = gate.gate.operate("reload", &[]).unwrap();
    let failed = strace.end();
    let said = String::from_utf8_lossy(&answer.stderr);
    let outcome = if answer.status.success() {
        Outcomes::Done
    } else if said.contains("the configuration goes on as it was") {
        Outcomes::Refused
    } else {
        let line = gate.gate.wait_for("ERROR").unwrap();
        assert!(!gate.gate.wait().unwrap().success(), "{calls} {inject}: {line}");
        Outcomes::Ended
    };
    (outcome, failed)
}

fn back(gate: &mut Changeable, scene: &Scene) {
    let folder = gate.file.parent().unwrap();
    fs::write(&gate.file, complete(&before(scene), folder)).unwrap();
    let answer = gate.gate.operate("reload", &[]).unwrap();
    assert!(answer.status.success(), "{answer:?}");
}

/// Starts by what is in force before, with leases of both resources.
fn start(scene: &Scene) -> Changeable {
    let gate = Changeable::start(scene, &before(scene));
    scene.knock(&gate.gate);
    assert!(opens(scene, "admin"));
    gate
}

/// Everybody meets either of the two configurations, and never something of both.
#[track_caller]
fn check(scene: &Scene, gate: Changeable, old: &Seen, outcome: &Outcomes, what: &str) -> Changeable {
    match outcome {
        Outcomes::Refused => {
            assert_eq!(&seen(scene), old, "{what}");
            assert!(opens(scene, "admin"), "{what}");
            gate
        }
        Outcomes::Done => {
            assert!(opens(scene, "web"), "{what}");
            let left = seen(scene).leases;
            assert!(
                left.iter()
                    .all(|(key, is_long)| !is_long && !key.ends_with(". 23")),
                "{what}: {left:?}"
            );
            let mut gate = gate;
            back(&mut gate, scene);
            scene.knock(&gate.gate);
            assert!(opens(scene, "admin"), "{what}");
            gate
        }
        Outcomes::Ended => {
            assert_eq!(scene.stranger_meets(), Outcome::Silent, "{what}");
            drop(gate);
            let next = Changeable::start(scene, &after(scene));
            assert!(opens(scene, "web"), "{what}");
            next.gate.stop().unwrap();
            start(scene)
        }
    }
}

/// Each of these calls fails once, from this one on, each `step`th. Returns how many calls a reload makes.
fn one_fails(calls: &str, error: &str, from: usize, step: usize) -> usize {
    let scene = Scene::new();
    let mut gate = start(&scene);
    let mut number = from;
    loop {
        let old = seen(&scene);
        let inject = format!("error={error}:when={number}");
        let (outcome, failed) = reload(&mut gate, &after(&scene), calls, &inject);
        if !failed {
            assert_eq!(outcome, Outcomes::Done);
            assert!(number > from, "a reload makes fewer than {from} calls of {calls}");
            return number;
        }
        gate = check(&scene, gate, &old, &outcome, &format!("{calls} {number}"));
        number += step;
        assert!(
            number < ENDLESS,
            "a reload makes more than {ENDLESS} calls of {calls}"
        );
    }
}

/// All of these calls fail from one of the last on, so that nothing can be put back.
fn all_fail(calls: &str, error: &str, from: impl Iterator<Item = usize>) {
    let scene = Scene::new();
    let mut gate = start(&scene);
    let mut ended = 0;
    for number in from {
        let old = seen(&scene);
        let inject = format!("error={error}:when={number}+");
        let (outcome, _) = reload(&mut gate, &after(&scene), calls, &inject);
        ended += usize::from(outcome == Outcomes::Ended);
        gate = check(&scene, gate, &old, &outcome, &format!("{calls} from {number} on"));
    }
    assert!(ended > 0, "whatever fails is put back, though nothing can be");
}

#[test]
fn a_call_of_bpf() {
    let calls = one_fails("bpf", "ENOMEM", 3, 11);
    // With fewer pending challenges and tags than there were in the end, a reload makes fewer calls.
    all_fail("bpf", "ENOMEM", [calls * 3 / 4, calls / 2, calls / 3].into_iter());
}

#[test]
fn a_message_of_netlink() {
    let calls = one_fails("sendto", "ENOBUFS", 1, 2);
    all_fail("sendto", "ENOBUFS", [2, calls / 2].into_iter());
}

#[test]
fn a_message_to_the_gatekeeper() {
    one_fails("sendmsg", "ENOBUFS", 1, 1);
}

#[test]
fn a_start_of_nft() {
    one_fails("clone,clone3,vfork", "EAGAIN", 1, 1);
}
