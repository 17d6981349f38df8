//! Forged knocks, many more than are checked for one source.

use letmein_tests::{
    gate::{Gate, KEY},
    knocker::{Draft, Udp},
    lab::Lab,
    wait::wait_until,
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const RATE: u64 = 20;
const BURST: u64 = 40;
/// HMACs a second for each CPU, a quarter of which is for sources whose bucket is empty.
const BUDGET: u64 = 100;
/// At most so many batches of so many.
const BATCHES: usize = 2000;
const BATCH: usize = 20;
/// Between two batches: what a debug build without XDP can read, so that it is the limit and not the socket's buffer
/// that refuses.
const PAUSE: Duration = Duration::from_millis(20);

/// One address sends knocks that only its key betrays. Another is served meanwhile, and what the flood costs is
/// bounded; then its sender is served, too.
fn flood(xdp: &str, server: &str, server_of_other: &str) {
    let lab = Lab::new().unwrap();
    let settings = format!("xdp = \"{xdp}\"\nrate = {RATE}\nburst = {BURST}\nhmac-budget = {BUDGET}");
    let start = Instant::now();
    let mut gate = Gate::start(&lab.server, &settings, "", "1h").unwrap();
    let forged = Draft {
        key: [1; 32],
        ..Draft::default()
    };
    let enough = AtomicBool::new(false);
    let control = |host: &str| format!("{host}:5800").parse().unwrap();
    let sent = thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let socket = Udp::new(&lab.other, control(server_of_other)).unwrap();
            let mut sent = 0;
            for _ in 0..BATCHES {
                for _ in 0..BATCH {
                    socket.send(&forged.sign()).unwrap();
                    sent += 1;
                }
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                thread::sleep(PAUSE);
            }
            sent
        });
        for verb in ["knock", "revoke", "knock"] {
            let arguments = [verb, "gate", "ssh", "-U"];
            let code = gate.letmein(&lab.client, plain(server), &KEY, &arguments);
            assert_eq!(code.unwrap(), 0, "{verb} during the flood");
        }
        wait_until("the limit is reached", || {
            gate.counters().unwrap().contains_key("rate-limit")
        });
        enough.store(true, Ordering::Relaxed);
        attacker.join().unwrap()
    });
    let counters = gate.counters().unwrap();
    let counted = counters["auth"] + counters["rate-limit"];
    assert!(counted <= sent, "{counters:?} of {sent}");
    let cpus = u64::try_from(thread::available_parallelism().unwrap().get()).unwrap();
    let seconds = start.elapsed().as_secs() + 1;
    let most = BURST + RATE * seconds + cpus * (BUDGET / 4 + 2) * seconds;
    assert!(counters["auth"] <= most, "{counters:?}, at most {most} checked");
    wait_until("the flood's sender has tokens again", || {
        let arguments = ["knock", "gate", "ssh", "-U"];
        gate.letmein(&lab.other, plain(server_of_other), &KEY, &arguments)
            .unwrap()
            == 0
    });
}

/// An address without brackets.
fn plain(host: &str) -> &str {
    host.trim_matches(['[', ']'])
}

#[test]
fn with_xdp() {
    flood("native", "10.77.1.1", "10.77.2.1");
}

#[test]
fn with_xdp_ipv6() {
    flood("native", "[fd77:1::1]", "[fd77:2::1]");
}

#[test]
fn without_xdp() {
    flood("off", "10.77.1.1", "10.77.2.1");
}
