//! Messages from the packet path: in the build for debugging, and in no other. Needs root, to load the program.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use aya::programs::{TestRun as _, TestRunOptions};
use etherparse::PacketBuilder;
use letmein_common::{bucket::Limit, maps::Settings, source::Prefixes};
use letmein_daemon::xdp::{Framing, KernelGate, Object, Plan};
use log::{Log, Metadata, Record};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

/// Keeps what it is told.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// What `cargo xtask build-ebpf` put into this folder of the target folder, loaded.
fn gate(folder: &str) -> KernelGate {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let object = fs::read(target.join(folder).join("letmein.bpf.o")).unwrap();
    let plan = Plan {
        settings: Settings {
            limit: Limit::new(0, 0),
            budget: Limit::new(0, 0),
            drained: Limit::new(0, 0),
            quota: Limit::new(0, 0),
            answers: Limit::new(0, 0),
            prefixes: Prefixes::ALL,
            control_port: 5800,
            answer_strangers: 0,
            challenge: 1,
            silent: 1,
            shield_tcp: 0,
            shield_udp: 0,
        },
        users: Vec::new(),
        permits: Vec::new(),
        seen_salts: 1,
        pending_challenges: 1,
        silent: None,
        shield: None,
        framings: vec![Framing::Ethernet],
        pins: None,
    };
    KernelGate::load(Object::new(&object), &plan).unwrap()
}

#[test]
fn a_build_for_debugging_logs_what_it_refuses() {
    let mut gate = gate("ebpf-log");
    let lines: &'static Lines = Box::leak(Box::default());
    let mut messages = gate.messages(lines).unwrap().unwrap();
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 0, 2, 7], [192, 0, 2, 1], 64)
        .udp(40_000, 5800)
        .write(&mut frame, b"junk")
        .unwrap();
    let ran = gate.program().unwrap().test_run(TestRunOptions {
        data_in: Some(&frame),
        ..TestRunOptions::default()
    });
    ran.unwrap();
    messages.flush();
    assert_eq!(*lines.0.lock().unwrap(), ["refused: length"]);
}

#[test]
fn a_release_has_no_messages() {
    let lines: &'static Lines = Box::leak(Box::default());
    assert!(gate("ebpf").messages(lines).unwrap().is_none());
}
