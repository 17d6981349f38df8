//! Whether CPUs get in each other's way: each kind of packet on one CPU, and on all of them at once. `cargo xtask bench cpus`
//! runs it.

use super::cases::Case;
use anyhow::Context as _;
use aya::{
    Ebpf,
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use letmein_tests::figures::{self, Figures};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use std::{
    sync::Barrier,
    thread::{ScopedJoinHandle, available_parallelism, scope},
};

const ROUNDS: u32 = 11;
const REPEAT: u32 = 100_000;

/// Every CPU runs the same packet from the same source, so what they could share, they do. The last line is a table of
/// sources, in which each packet is a new one.
pub fn run(program: &Xdp, hot: &[Case]) -> anyhow::Result<()> {
    let lru = figures::object("lru.bpf.o")?;
    let mut lru = Ebpf::load(&lru)?;
    let lru: &mut Xdp = lru
        .program_mut("lru")
        .context("lru.bpf.o has no program")?
        .try_into()?;
    lru.load()?;
    let lru: &Xdp = lru;
    let cpus = available_parallelism()?.get();
    let mut figures = Figures::default();
    let mut lines = Vec::new();
    let named = hot.iter().map(|case| (case.name, program, case.frame.as_slice()));
    let new_source = ("new_source_ns", lru, hot[0].frame.as_slice());
    for (name, program, frame) in named.chain([new_source]) {
        let together: &'static str = Box::leak(name.replace("_ns", "_all_ns").into_boxed_str());
        for _ in 0..if figures::quick() { 1 } else { ROUNDS } {
            figures.add(name, at_once(program, frame, 1)?);
            figures.add(together, at_once(program, frame, cpus)?);
        }
        let ratio = figures.median(together) / figures.median(name);
        lines.push(format!("{name}: {ratio:.2} x on each of {cpus} CPUs"));
    }
    figures.print(&lines)
}

/// Nanoseconds for each run, while so many CPUs do the same; the mean over them.
fn at_once(program: &Xdp, frame: &[u8], cpus: usize) -> anyhow::Result<f64> {
    let together = Barrier::new(cpus);
    let took: Result<Vec<f64>, anyhow::Error> = scope(|scope| {
        let threads: Vec<_> = (0..cpus)
            .map(|cpu| {
                let together = &together;
                scope.spawn(move || {
                    let mut one = CpuSet::new();
                    one.set(cpu)?;
                    sched_setaffinity(Pid::from_raw(0), &one)?;
                    together.wait();
                    let result = program.test_run(TestRunOptions {
                        data_in: Some(frame),
                        repeat: REPEAT,
                        ..TestRunOptions::default()
                    })?;
                    Ok(result.duration.as_secs_f64() * 1e9)
                })
            })
            .collect();
        let joined = threads.into_iter().map(ScopedJoinHandle::join);
        joined
            .map(|joined| joined.unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked"))))
            .collect()
    });
    let took = took?;
    let count = u32::try_from(took.len())?;
    Ok(took.iter().sum::<f64>() / f64::from(count))
}
