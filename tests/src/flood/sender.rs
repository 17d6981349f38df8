//! Sends forged packets at a rate: the generator of `letmein-ebpf/src/flood.rs`, which the kernel runs on live frames.

use super::Template;
use crate::{figures, lab::Host};
use anyhow::Context as _;
use aya::{
    Ebpf, EbpfLoader,
    programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp},
};
use nix::{
    net::if_::if_nametoindex,
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread::{available_parallelism, sleep},
    time::{Duration, Instant},
};

/// Frames in one go: the receiver's queue holds 256.
const BATCH: u32 = 64;
/// Frames in one call at the fastest, so that a stop is noticed.
const MANY: u32 = 4096;
const TICK: Duration = Duration::from_millis(1);

/// A flood that is ready to be sent.
pub struct Sender {
    ebpf: Ebpf,
    template: Template,
}

/// What is shared with a sender that runs.
#[derive(Default)]
pub struct Progress {
    /// Frames sent until now.
    pub sent: AtomicU64,
    /// Set to end it.
    pub stop: AtomicBool,
}

impl Sender {
    /// Copies of `template`, sent by `interface` of `host`.
    pub fn new(host: &Host, interface: &str, template: Template) -> anyhow::Result<Self> {
        let target = host.enter(|| if_nametoindex(interface))??;
        let mut ebpf = EbpfLoader::new()
            .override_global("TARGET", &target, true)
            .override_global("FIRST", &template.random.start, true)
            .override_global("END", &template.random.end, true)
            .override_global("LETTERS", &u32::from(template.letters), true)
            .override_global("IP_SUM", &template.ip_sum(), true)
            .override_global("TCP_SUM", &template.tcp_sum(), true)
            .override_global("SOURCE", &template.source.map_or(0, u32::from), true)
            .load(&figures::object("flood.bpf.o")?)?;
        program(&mut ebpf)?.load()?;
        Ok(Self { ebpf, template })
    }

    /// Sends so many packets a second, or as many as it can, until it is told to stop. In the namespace of the host.
    pub fn run(mut self, rate: Option<u64>, progress: &Progress) -> anyhow::Result<()> {
        stay_on_last_cpu()?;
        let Self { ebpf, template } = &mut self;
        let program = program(ebpf)?;
        let started = Instant::now();
        while !progress.stop.load(Ordering::Relaxed) {
            let sent = progress.sent.load(Ordering::Relaxed);
            let repeat = match rate {
                None => MANY,
                Some(rate) => {
                    let due = started.elapsed().as_micros() * u128::from(rate) / 1_000_000;
                    u32::try_from(due.saturating_sub(sent.into()))?.min(MANY)
                }
            };
            if repeat == 0 {
                sleep(TICK);
                continue;
            }
            program.test_run(TestRunOptions {
                data_in: Some(&template.frame),
                repeat,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::default()
            })?;
            progress.sent.fetch_add(repeat.into(), Ordering::Relaxed);
            if rate.is_some() {
                sleep(TICK);
            }
        }
        Ok(())
    }
}

fn program(ebpf: &mut Ebpf) -> anyhow::Result<&mut Xdp> {
    let program = ebpf.program_mut("flood").context("flood.bpf.o has no program")?;
    Ok(program.try_into()?)
}

/// One core sends, and no more.
fn stay_on_last_cpu() -> anyhow::Result<()> {
    let mut one = CpuSet::new();
    one.set(available_parallelism()?.get() - 1)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &one)?)
}
