//! letmeind is killed at each step of what it does: strace kills it as it begins the system call with this number.

use crate::{
    allowed::{BOB, for_two},
    probe::{Attempts, nobody_gets_in, nobody_notices},
    reload::Changeable,
    scene::Scene,
};
use letmein_tests::{
    gate::{Gate, letmein},
    lab::Outcome,
    nft::leases,
    wait::wait_until,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Nothing that is looked at here takes as many steps.
const ENDLESS: usize = 200;

/// Starts letmeind, which is killed at each of these system calls in turn, from this one on, until a start comes through
/// without making as many. Before each start, `prepare` is done. Returns how many starts were ended.
#[track_caller]
fn each_step(scene: &Scene, configuration: &str, call: &str, from: usize, prepare: impl Fn()) -> usize {
    let mut step = from;
    loop {
        prepare();
        if !killed_at(scene, configuration, call, step) {
            assert!(step > from, "a start makes fewer than {step} calls of {call}");
            return step - from;
        }
        step += 1;
        assert!(
            step < ENDLESS,
            "a start makes more than {ENDLESS} calls of {call}"
        );
    }
}

/// Whether it was killed at this step. Otherwise it has come through, and is killed as it serves.
fn killed_at(scene: &Scene, configuration: &str, call: &str, step: usize) -> bool {
    let traced = format!("trace={call}");
    let killed = format!("inject={call}:signal=KILL:when={step}");
    let under = [
        "strace",
        "--quiet=all",
        "--output=/dev/null",
        "-e",
        &traced,
        "-e",
        &killed,
    ];
    let letmeind = scene.letmeind(configuration).under(&under);
    let mut command = letmeind.command("run").unwrap();
    let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(process.stderr.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        eprintln!("{call} {step}: {line}");
        if line.contains("ready on port") {
            end_traced(process.id());
            process.wait().unwrap();
            return false;
        }
    }
    process.wait().unwrap();
    true
}

/// Kills what this strace has started.
fn end_traced(strace: u32) {
    let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap();
    for child in children.split_whitespace() {
        kill(Pid::from_raw(child.parse().unwrap()), Signal::SIGKILL).unwrap();
    }
}

/// Everything is as configured after the next start.
#[track_caller]
fn starts_well(scene: &Scene, configuration: &str) {
    let mut gate = scene.letmeind(configuration).start().unwrap();
    scene.knock(&gate);
    assert_eq!(scene.guest_meets(), Outcome::Open);
    assert_eq!(scene.stranger_meets(), Outcome::Silent);
    assert!(gate.counters().unwrap()["genuine"] >= 2);
    assert_eq!(scene.pins(), ["accounts-1", "link-auto", "link-auto", "salts-1"]);
    gate.stop().unwrap();
}

/// Killed while it loads, fills and replaces the XDP program.
#[test]
fn at_each_call_of_bpf_of_a_restart() {
    let scene = Scene::new();
    scene.with_guest().kill().unwrap();
    let configuration = scene.configuration("");
    nobody_notices(&scene, |attempts| {
        let killed = each_step(&scene, &configuration, "bpf", 1, || {});
        assert!(killed > 30, "{killed}");
        attempts.go_on();
        starts_well(&scene, &configuration);
    });
}

/// Killed between messages to nftables and about interfaces, while the rules change with each start.
#[test]
fn at_each_message_of_netlink_of_a_restart() {
    let scene = Scene::new();
    scene.with_guest().kill().unwrap();
    let one = scene.configuration("");
    let other = scene.configuration("port = 5900").replace("tcp/23", "udp/23");
    nobody_notices(&scene, |_| {
        let change = std::cell::Cell::new(0);
        let killed = each_step(&scene, &one, "sendto", 1, || {
            change.set(change.get() + 1);
            if change.get() & 1 == 0 {
                killed_at(&scene, &other, "sendto", change.get());
            }
        });
        assert!(killed > 5, "{killed}");
        starts_well(&scene, &one);
    });
}

/// Killed on the way to attaching, where nothing was attached: nftables keeps the stranger out.
#[test]
fn at_each_call_of_bpf_of_a_first_start() {
    let scene = Scene::new();
    scene.with_guest().kill().unwrap();
    let configuration = scene.configuration("");
    let nothing_attached = || {
        if scene.bpffs.pins().exists() {
            fs::remove_dir_all(scene.bpffs.pins()).unwrap();
        }
        wait_until("nothing is attached", || scene.program("to-peer1").is_none());
    };
    nobody_gets_in(&scene, |_| {
        // From there on the program is loaded.
        let killed = each_step(&scene, &configuration, "bpf", 30, nothing_attached);
        assert!(killed > 4, "{killed}");
        starts_well(&scene, &configuration);
    });
}

/// Killed on the way to another mode, in which there is a moment without a program.
#[test]
fn at_each_call_of_bpf_of_a_change_of_mode() {
    let scene = Scene::new();
    scene.with_guest().kill().unwrap();
    let [generic, auto] = ["generic", "auto"].map(|mode| scene.configuration(&format!("xdp = \"{mode}\"")));
    let in_generic = || scene.letmeind(&generic).start().unwrap().kill().unwrap();
    nobody_gets_in(&scene, |_| {
        let killed = each_step(&scene, &auto, "bpf", 40, in_generic);
        assert!(killed > 4, "{killed}");
        starts_well(&scene, &auto);
    });
}

/// Killed while it changes over to another configuration: rules and XDP program may be of either, and the next start is by
/// the new one.
#[test]
fn at_each_step_of_a_reload() {
    let scene = Scene::new();
    scene.with_guest().kill().unwrap();
    let usual = scene.configuration("");
    let other = for_two(&scene);
    nobody_notices(&scene, |attempts| {
        for call in ["sendto", "bpf"] {
            // Most calls of bpf() load the program, of which there is no trace.
            let from = if call == "bpf" { 40 } else { 1 };
            for step in from..ENDLESS {
                let mut gate = Changeable::start(&scene, &usual);
                scene.knock(&gate.gate);
                let mut strace = trace(gate.gate.pid(), call, step);
                gate.ask(&other);
                let killed = ends(&mut gate);
                strace.kill().unwrap();
                strace.wait().unwrap();
                gate.gate.kill().unwrap();
                attempts.go_on();
                if !killed {
                    assert!(step > from, "a reload takes no {call}");
                    break;
                }
            }
            starts_well(&scene, &other);
            starts_well(&scene, &usual);
        }
    });
}

/// Whether it dies before it has reloaded.
fn ends(gate: &mut Changeable) -> bool {
    loop {
        if status(gate.gate.pid()).contains("State:\tZ") {
            return true;
        }
        if gate.has_reloaded() {
            return false;
        }
        sleep(Duration::from_millis(10));
    }
}

/// Killed while it lets a guest in: the guest is in from the next start on, if nftables has the lease, and has to knock
/// once more otherwise.
#[test]
fn at_each_step_of_a_knock() {
    let scene = Scene::new();
    // Of another guest, who is there all along.
    let gate = scene.with_guest();
    nobody_notices(&scene, |attempts| {
        let mut gate = Some(gate);
        for call in ["sendto", "sendmsg", "bpf"] {
            for step in 1..ENDLESS {
                let running = gate.take().unwrap_or_else(|| scene.start(""));
                if !killed_in_a_knock(&scene, running, attempts, call, step) {
                    assert!(step > 1, "a knock takes no {call}");
                    break;
                }
            }
        }
    });
}

/// Whether it was killed.
fn killed_in_a_knock(scene: &Scene, gate: Gate, attempts: &Attempts, call: &str, step: usize) -> bool {
    let pid = gate.pid();
    let is_dead = || status(pid).contains("State:\tZ");
    let mut strace = trace(pid, call, step);
    let server = "fd77:1::1";
    let knocked = gate
        .letmein(
            &scene.lab.client,
            server,
            &letmein_tests::gate::KEY,
            &["knock", "gate", "ssh"],
        )
        .unwrap();
    let deadline = Instant::now() + Duration::from_millis(300);
    while !is_dead() && Instant::now() < deadline {
        sleep(Duration::from_millis(10));
    }
    let killed = is_dead();
    assert!(killed || knocked == 0, "{call} {step}: neither killed nor let in");
    strace.kill().unwrap();
    strace.wait().unwrap();
    gate.kill().unwrap();
    attempts.go_on();
    let has_lease = !leases(&scene.lab.server, "letmein", "leases6")
        .unwrap()
        .is_empty();
    let gate = scene.start("");
    if has_lease {
        let met = scene
            .lab
            .client
            .connect(format!("[{server}]:22").parse().unwrap());
        assert_eq!(met.unwrap(), Outcome::Open, "{call} {step}");
    }
    scene.nft(&["flush set inet letmein leases6"]);
    gate.stop().unwrap();
    killed
}

/// Killed while another user behind the same address opens, and while that user, whose time is the longer one, revokes:
/// the first user's lease is as it was.
#[test]
fn at_each_step_of_what_a_neighbour_does() {
    let scene = Scene::new();
    let configuration = for_two(&scene);
    let as_user = |user: u32, key: &[u8; 32], verb: &str| {
        let text = format!(
            "[servers.gate]\nhost = \"fd77:1::1\"\nuser = \"{user}\"\nkey-file = \"alice.key\"\ntimeout = \"1s\"\n\
             [servers.gate.resources]\nssh = {{ id = \"1\", port = 22 }}\n"
        );
        letmein(&scene.lab.client, &text, key, &[verb, "gate", "ssh"]).unwrap()
    };
    let is_open = |step: usize| {
        let listed = leases(&scene.lab.server, "letmein", "leases6").unwrap();
        assert_eq!(listed.len(), 1, "{step}: {listed:?}");
        assert!(listed[0].left > Duration::from_mins(50), "{step}: {listed:?}");
        let to = "[fd77:1::1]:22".parse().unwrap();
        assert_eq!(scene.lab.client.connect(to).unwrap(), Outcome::Open, "{step}");
    };
    for verb in ["knock", "revoke"] {
        for call in ["sendto", "bpf"] {
            for step in 1..ENDLESS {
                let gate = scene.letmeind(&configuration).start().unwrap();
                assert_eq!(as_user(1, &letmein_tests::gate::KEY, "knock"), 0);
                if verb == "revoke" {
                    assert_eq!(as_user(2, &BOB, "knock"), 0);
                }
                let pid = gate.pid();
                let mut strace = trace(pid, call, step);
                as_user(2, &BOB, verb);
                let killed = status(pid).contains("State:\tZ");
                strace.kill().unwrap();
                strace.wait().unwrap();
                is_open(step);
                gate.kill().unwrap();
                let gate = scene.letmeind(&configuration).start().unwrap();
                is_open(step);
                assert_eq!(as_user(1, &letmein_tests::gate::KEY, "revoke"), 0);
                as_user(2, &BOB, "revoke");
                gate.stop().unwrap();
                if !killed {
                    assert!(step > 1, "a {verb} takes no {call}");
                    break;
                }
            }
        }
    }
}

/// Has strace kill this process at a system call. It may be about to look at interfaces by itself.
fn trace(pid: Pid, call: &str, step: usize) -> Child {
    let strace = Command::new("strace")
        .args(["--quiet=all", "--output=/dev/null", "-p", &pid.to_string()])
        .args(["-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:signal=KILL:when={step}")])
        .spawn()
        .unwrap();
    wait_until("strace is there", || {
        let status = status(pid);
        status.contains("State:\tZ") || !status.contains("TracerPid:\t0\n")
    });
    strace
}

fn status(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap()
}
