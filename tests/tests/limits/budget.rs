//! Forged knocks from sources without a limit of their own, many more than there is a budget of HMACs for.

use letmein_tests::{
    bpffs::BpfFs,
    gate::{Gate, KEY, configuration},
    knocker::{self, Udp},
    lab::{Host, Lab, Outcome},
    silent,
    wait::wait_until,
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, sleep},
    time::{Duration, Instant},
};

const GATE: &str = "10.77.1.1";
/// HMACs a second, for each CPU.
const BUDGET: u64 = 10;
/// And at once.
const BURST: u64 = 4;
/// At most so many forged knocks, 2000 a second.
const MOST: u32 = 120_000;
const PAUSE: Duration = Duration::from_micros(500);

/// Does `work` while forged knocks of a user who exists come in at `gate` from `host`.
fn under_fire(host: &Host, gate: &str, work: impl FnOnce()) {
    let forged = knocker::Draft {
        key: [1; 32],
        ..knocker::Draft::default()
    };
    let over = AtomicBool::new(false);
    let socket = Udp::new(host, format!("{gate}:5800").parse().unwrap()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..MOST {
                // Without XDP, there is nobody to take it once the gate has ended.
                let _refused = socket.send(&forged.sign());
                if over.load(Ordering::Relaxed) {
                    break;
                }
                sleep(PAUSE);
            }
        });
        work();
        over.store(true, Ordering::Relaxed);
    });
}

fn refused(gate: &mut Gate) -> u64 {
    gate.counters().unwrap().get("budget").copied().unwrap_or(0)
}

/// A user is served from a known address while no stranger is checked, after a reload as well, and with XDP after a
/// restart.
fn who_is_acquainted_gets_in(xdp: &str) {
    let lab = Lab::new().unwrap();
    let bpffs = BpfFs::mount().unwrap();
    let settings = format!(
        "xdp = \"{xdp}\"\nrate = 0\nhmac-budget = {BUDGET}\n{}",
        bpffs.setting()
    );
    let start = || Gate::start(&lab.server, &settings, "", "1h").unwrap();
    let started = Instant::now();
    let mut gate = start();
    let knock = |gate: &Gate, verb| {
        let arguments = [verb, "gate", "ssh", "-U"];
        gate.letmein(&lab.client, GATE, &KEY, &arguments).unwrap()
    };
    assert_eq!(knock(&gate, "knock"), 0);
    under_fire(&lab.other, "10.77.2.1", || {
        let comes_and_goes = |gate: &mut Gate, when| {
            for verb in ["revoke", "knock", "revoke", "knock"] {
                let before = refused(gate);
                wait_until("the budget is used up", || refused(gate) > before + 50);
                assert_eq!(knock(gate, verb), 0, "{verb} {when}");
            }
        };
        comes_and_goes(&mut gate, "during the flood");
        assert!(gate.operate("reload", &[]).unwrap().status.success());
        comes_and_goes(&mut gate, "after the reload");
        let counters = gate.counters().unwrap();
        let cpus = u64::try_from(thread::available_parallelism().unwrap().get()).unwrap();
        // The reload has filled the budgets.
        let most = cpus * (2 * BURST + BUDGET * (started.elapsed().as_secs() + 1));
        assert!(counters["auth"] <= most, "{counters:?}, at most {most} checked");
        if xdp != "off" {
            gate.stop().unwrap();
            gate = start();
            comes_and_goes(&mut gate, "after the restart");
        }
    });
}

#[test]
fn of_a_known_source_with_xdp() {
    who_is_acquainted_gets_in("native");
}

#[test]
fn of_a_known_source_without_xdp() {
    who_is_acquainted_gets_in("off");
}

/// From a source that has never been seen before.
#[test]
fn of_silent_knocks() {
    let lab = Lab::new().unwrap();
    let _service = lab.server.listen(22).unwrap();
    let bpffs = BpfFs::mount().unwrap();
    let settings = format!(
        "silent = true\nrate = 0\nhmac-budget = {BUDGET}\n{}",
        bpffs.setting()
    );
    let start = || Gate::start_with(&lab.server, &configuration(&settings, "", "1h")).unwrap();
    // A first start takes no silent knock for a while.
    start().stop().unwrap();
    let mut gate = start();
    let ssh = format!("{GATE}:22").parse().unwrap();
    under_fire(&lab.other, "10.77.2.1", || {
        wait_until("the budget is used up", || refused(&mut gate) > 100);
        let knock = silent::Draft::default().seal();
        let control = format!("{GATE}:5800").parse().unwrap();
        assert_eq!(silent::send(&lab.client, control, &[&knock]).unwrap(), 0);
        wait_until("the knock is genuine", || {
            gate.counters().unwrap().get("genuine") == Some(&1)
        });
        wait_until("the port is open", || {
            lab.client.connect(ssh).unwrap() == Outcome::Open
        });
    });
}
