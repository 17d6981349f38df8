//! A million forged and junk packets, with a few genuine knocks among them.

use crate::{
    frames::{Mixture, REASONS, source},
    ring::Ring,
    scene::{CONTROL, CONTROL_OF_OTHER, Scene, exchange, send_until},
};
use letmein_common::wire::challenge::Operation;
use letmein_tests::{gate::Gate, nft::leases, processes::counted, silent::Draft};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

const MILLION: u64 = 1_000_000;

/// How many of them differ from each other.
const KINDS: u32 = 50_000;
/// Genuine silent knocks that go out with each repetition, in the middle of the others.
const SILENT: u32 = 10;

/// What has come out of the XDP program to the kernel and to letmeind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arrived {
    /// IPv4 packets of any protocol that the kernel has seen. (With IPv6, it talks to its neighbours.)
    packets: u64,
    /// Datagrams that a process has got, with IPv4 and IPv6.
    datagrams: (u64, u64),
    /// IPv6 datagrams for nobody, or that nobody had room for.
    lost: u64,
    /// Silent knocks in the ring buffer.
    records: u64,
    /// What the XDP program calls genuine.
    genuine: u64,
}

impl Arrived {
    fn now(scene: &Scene, gate: &mut Gate, ring: &Ring) -> Self {
        let counted = |protocol, name| counted(&scene.lab.server, protocol, name).unwrap();
        Self {
            packets: counted("Ip", "InReceives"),
            datagrams: (counted("Udp", "InDatagrams"), counted("Udp6", "InDatagrams")),
            lost: counted("Udp6", "NoPorts") + counted("Udp6", "InErrors"),
            records: ring.records(),
            genuine: gate.counters().unwrap()["genuine"],
        }
    }
}

/// What letmeind gets of the million is exactly the genuine ones, and nobody else is answered.
#[test]
fn userspace_gets_exactly_the_genuine_ones() {
    let scene = Scene::new();
    // A guest who is not known yet would have to be lucky, and here nobody repeats what is lost.
    let mut gate = scene.start("xdp = \"native\"\nhmac-budget = 0");
    let mixture = Mixture::record(&scene, &mut gate);
    let mut attacker = scene.attacker();
    let frames = mixture.frames(&attacker, KINDS);
    let ring = Ring::of(&gate);
    let before = Arrived::now(&scene, &mut gate, &ring);
    let rounds = AtomicU32::new(0);
    thread::scope(|scope| {
        let guest = scope.spawn(|| {
            for operation in [Operation::Knock, Operation::Revoke, Operation::Knock] {
                exchange(&scene, CONTROL, operation);
                exchange(&scene, "[fd77:1::1]:5800", operation);
            }
        });
        send_until(&mut gate, MILLION, &attacker, &frames, || {
            let round = rounds.fetch_add(1, Ordering::Relaxed);
            let control = CONTROL_OF_OTHER.parse().unwrap();
            let numbers = KINDS + round * SILENT..KINDS + (round + 1) * SILENT;
            numbers
                .map(source)
                .map(|source| attacker.udp(source, control, &Draft::default().seal()))
                .collect()
        });
        guest.join().unwrap();
    });
    let silent = rounds.into_inner() * SILENT;
    let expected = Arrived {
        // KNOCK and RESPONSE of three exchanges.
        packets: before.packets + 6,
        datagrams: (before.datagrams.0 + 6, before.datagrams.1 + 6),
        lost: before.lost,
        records: before.records + u64::from(silent),
        genuine: before.genuine + 12 + u64::from(silent),
    };
    assert_eq!(Arrived::now(&scene, &mut gate, &ring), expected);
    // Each was acted upon, and nothing else was.
    let opened: BTreeSet<_> = leases(&scene.lab.server, "letmein", "leases4")
        .unwrap()
        .into_iter()
        .map(|lease| lease.key)
        .collect();
    let sources = (KINDS..KINDS + silent).map(source);
    let holders = sources.map(|source| source.ip().to_string());
    let expected = holders.chain(["10.77.1.2".to_owned()]);
    assert_eq!(
        opened,
        expected.map(|holder| format!("{holder} . tcp . 22")).collect()
    );
    assert_eq!(attacker.received(), Vec::<Vec<u8>>::new());
    let counters = gate.counters().unwrap();
    // Without a budget, a source that sends too much is checked as well.
    for reason in REASONS.iter().filter(|reason| **reason != "rate-limit") {
        assert!(counters.contains_key(*reason), "none was refused for {reason}");
    }
}
