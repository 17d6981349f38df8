//! A user who takes all there is to get, and another who wants in.

use letmein_common::wire::challenge::Operation;
use letmein_tests::{
    bpffs::BpfFs,
    gate::{Gate, KEY, configuration},
    knocker::{self, Tcp, Udp},
    lab::{Lab, Outcome},
    silent,
    wait::wait_until,
};
use std::{
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

const GATE: &str = "10.77.1.1";
const CONTROL: &str = "10.77.1.1:5800";
const CONTROL_OF_OTHER: &str = "10.77.2.1:5800";
const MALLORY: u32 = 13;
/// More than there is to get, and many more than there are lines of log for.
const MANY: usize = 300;
/// More challenges than there is room for, and no more than the gate takes of one user at once.
const CHALLENGES: usize = 200;
/// How many knocks Mallory has on their way at a time.
const THREADS: usize = 4;

/// Mallory may open what Alice may. Both have the same key, which makes no difference: they are two users.
fn configured(gate: &str, firewall: &str) -> String {
    let mallory =
        format!("[users.mallory]\nid = \"{MALLORY:08X}\"\nkey-file = \"alice.key\"\nresources = [\"ssh\"]\n");
    configuration(gate, firewall, "1h") + &mallory
}

fn mallory() -> knocker::Draft {
    knocker::Draft {
        user: MALLORY,
        ..knocker::Draft::default()
    }
}

/// A whole exchange over TCP. Whether the gate has done what it was for.
fn knock(lab: &Lab, draft: &knocker::Draft) -> anyhow::Result<bool> {
    let mut connection = Tcp::new(&lab.other, CONTROL_OF_OTHER.parse()?)?;
    connection.send(&draft.sign())?;
    let Some(challenge) = connection
        .answer()?
        .filter(|it| it.operation == Operation::Challenge)
    else {
        return Ok(false);
    };
    connection.send(&draft.response(&challenge).sign())?;
    let answer = connection.answer()?;
    Ok(answer.is_some_and(|answer| answer.operation == Operation::ComeIn))
}

/// Mallory knocks and revokes over TCP as fast as the gate answers. Alice comes and goes all the same, and the log says
/// what is going on, but not each time.
fn by_tcp(xdp: &str) {
    let lab = Lab::new().unwrap();
    let settings = format!("xdp = \"{xdp}\"");
    let configuration = configured(&settings, "max-opens-per-second = 10");
    let mut gate = Gate::start_with(&lab.server, &configuration).unwrap();
    let (refused, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for operation in [Operation::Knock, Operation::Revoke] {
                        let draft = knocker::Draft {
                            operation,
                            ..mallory()
                        };
                        if !knock(&lab, &draft).unwrap_or(false) {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        let alice = panic::catch_unwind(AssertUnwindSafe(|| {
            wait_until("Mallory is refused very often", || {
                refused.load(Ordering::Relaxed) > MANY
            });
            for (verb, how) in [
                ("knock", "-T"),
                ("revoke", "-T"),
                ("knock", "-U"),
                ("revoke", "-U"),
            ] {
                for _ in 0..2 {
                    let code = gate.letmein(&lab.client, GATE, &KEY, &[verb, "gate", "ssh", how]);
                    assert_eq!(code.unwrap(), 0, "{verb} {how}");
                }
            }
        }));
        over.store(true, Ordering::Relaxed);
        alice.unwrap();
    });
    let log = gate.log_so_far();
    let lines = log.iter().filter(|line| line.contains("0000000D may have of"));
    assert!((1..MANY / 4).contains(&lines.count()), "{log:#?}");
    gate.wait_for("more ").unwrap();
}

#[test]
fn over_tcp_with_xdp() {
    by_tcp("native");
}

#[test]
fn over_tcp_without_xdp() {
    by_tcp("off");
}

/// Mallory knocks silently as often as it takes to use up what all users may do at once.
#[test]
fn silently() {
    let lab = Lab::new().unwrap();
    let _service = lab.server.listen(22).unwrap();
    let bpffs = BpfFs::mount().unwrap();
    let settings = format!("silent = true\nrate = 0\n{}", bpffs.setting());
    let start =
        || Gate::start_with(&lab.server, &configured(&settings, "max-opens-per-second = 10")).unwrap();
    // A first start takes no silent knock for a while.
    start().stop().unwrap();
    let mut gate = start();
    let draft = silent::Draft {
        user: MALLORY,
        ..silent::Draft::default()
    };
    let knocks: Vec<_> = (0..MANY).map(|_| draft.seal()).collect();
    let knocks: Vec<_> = knocks.iter().map(<[u8; _]>::as_slice).collect();
    silent::send(&lab.other, CONTROL_OF_OTHER.parse().unwrap(), &knocks).unwrap();
    gate.wait_for("0000000D may have of").unwrap();
    let knock = silent::Draft::default().seal();
    silent::send(&lab.client, CONTROL.parse().unwrap(), &[&knock]).unwrap();
    let ssh = format!("{GATE}:22").parse().unwrap();
    wait_until("Alice is in", || {
        lab.client.connect(ssh).unwrap() == Outcome::Open
    });
}

/// Mallory has many more challenges than there is room for, and answers none.
fn by_challenges(xdp: &str) {
    let lab = Lab::new().unwrap();
    let settings = format!("xdp = \"{xdp}\"\nrate = 0\npending-challenges = 16\ncontrol-timeout = \"10m\"");
    let _gate = Gate::start_with(&lab.server, &configured(&settings, "")).unwrap();
    let alice = knocker::Draft::default();
    let socket = Udp::new(&lab.client, CONTROL.parse().unwrap()).unwrap();
    socket.send(&alice.sign()).unwrap();
    let challenge = socket.answer().unwrap();
    for _ in 0..CHALLENGES {
        let socket = Udp::new(&lab.other, CONTROL_OF_OTHER.parse().unwrap()).unwrap();
        socket.send(&mallory().sign()).unwrap();
        assert_eq!(socket.answer().unwrap().operation, Operation::Challenge);
    }
    socket.send(&alice.response(&challenge).sign()).unwrap();
    assert_eq!(socket.answer().unwrap().operation, Operation::ComeIn);
}

#[test]
fn by_challenges_with_xdp() {
    by_challenges("native");
}

#[test]
fn by_challenges_without_xdp() {
    by_challenges("off");
}

/// Whoever has recorded a KNOCK cannot use up its sender's share with it.
#[test]
fn not_by_somebody_elses_knock() {
    let lab = Lab::new().unwrap();
    let _gate = Gate::start_with(&lab.server, &configured("", "")).unwrap();
    let recorded = knocker::Draft::default().sign();
    let replay = || {
        let mut connection = Tcp::new(&lab.other, CONTROL_OF_OTHER.parse().unwrap()).unwrap();
        connection.send(&recorded).unwrap();
        connection.answer().unwrap()
    };
    assert_eq!(replay().unwrap().operation, Operation::Challenge);
    for _ in 0..3 {
        assert_eq!(replay(), None);
    }
}
