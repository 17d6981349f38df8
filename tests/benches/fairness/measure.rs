//! One case on one gate: the guests alone, and then beside the attacker.

use super::{
    attackers::{Arrives, Attack, Tally},
    cases::Case,
    gates::Stage,
    outcome::{Achieved, Outcome},
};
use anyhow::{anyhow, ensure};
use nix::libc;
use serde_json::json;
use std::{
    sync::atomic::Ordering,
    thread::{self, sleep},
    time::{Duration, Instant},
};

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Knocks.
    pub knocks: usize,
    /// But no longer than this.
    pub at_most: Duration,
    /// Attackers that are processes themselves do this many times less.
    pub slower: u64,
}

/// What an attacker does before it has done any harm.
const PATIENCE: Duration = Duration::from_secs(10);

/// On our gate.
pub fn ours(case: &Case, effort: Effort) -> anyhow::Result<Outcome> {
    let stage = Stage::ours(case.gate, case.firewall)?;
    run(&stage, case, effort)
}

/// On letmein 12, if it has what is attacked.
pub fn theirs(case: &Case, effort: Effort) -> anyhow::Result<Option<Outcome>> {
    if !case.theirs_has_it {
        return Ok(None);
    }
    run(&Stage::theirs()?, case, effort).map(Some)
}

fn run(stage: &Stage, case: &Case, effort: Effort) -> anyhow::Result<Outcome> {
    // The first one after a start takes longer.
    case.guests.knock(stage, Effort { knocks: 1, ..effort })?;
    let quiet = case.guests.knock(stage, effort)?;
    ensure!(
        quiet.share() > 0.0,
        "knocks open nothing even while nobody attacks"
    );
    let attack = (case.attack)(stage, effort)?;
    let (attacked, attacker, tally) = while_attacked(stage, attack, || {
        sleep(case.head_start / u32::try_from(effort.slower)?);
        case.guests.knock(stage, effort)
    })?;
    let mut more = Vec::new();
    if case.counts_leases && !case.theirs_has_it {
        more.push(("leases", json!(stage.leases()?)));
    }
    let got_in = tally.got_in.load(Ordering::Relaxed);
    if got_in > 0 {
        more.push(("attacker_got_in", json!(got_in)));
    }
    Ok(Outcome {
        quiet,
        attacked,
        attacker,
        more,
    })
}

/// Does something while the attacker attacks.
pub fn while_attacked<T>(
    stage: &Stage,
    attack: Attack,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, Achieved, Tally)> {
    let Attack { rate, arrives, run } = attack;
    let tally = Tally::default();
    let (before, begun) = (stage.received()?, Instant::now());
    let (done, seconds) = thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            stage.lab.other.enter(|| {
                wait_for_nobody();
                run(&tally)
            })
        });
        let begin = || {
            while tally.progress.sent.load(Ordering::Relaxed) == 0 {
                ensure!(begun.elapsed() < PATIENCE, "the attacker does nothing");
                sleep(Duration::from_millis(1));
            }
            Ok(())
        };
        let done = begin().and_then(|()| work());
        let seconds = begun.elapsed().as_secs_f64();
        tally.progress.stop.store(true, Ordering::Relaxed);
        attacker
            .join()
            .map_err(|_| anyhow!("the attacker panicked"))???;
        anyhow::Ok((done?, seconds))
    })?;
    let arrived = match arrives {
        Arrives::Packets => stage.received()? - before,
        Arrives::Connections => tally.connected.load(Ordering::Relaxed),
    };
    let sent = count(tally.progress.sent.load(Ordering::Relaxed));
    let achieved = Achieved {
        rate,
        sent: sent / seconds,
        arrived: (count(arrived) / sent).min(1.0),
    };
    Ok((done, achieved, tally))
}

/// An attacker is a machine of its own: it goes on whatever this one is busy with. On a kernel that does not grant that,
/// the rate that it achieved tells.
fn wait_for_nobody() {
    let priority = libc::sched_param { sched_priority: 1 };
    #[expect(unsafe_code, reason = "no crate that we have sets a scheduling policy")]
    // SAFETY: the kernel reads the parameter, which lives until it has.
    let _granted = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
}

#[expect(clippy::cast_precision_loss, reason = "packets of some seconds")]
fn count(packets: u64) -> f64 {
    packets as f64
}
