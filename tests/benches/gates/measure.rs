//! One case: knocks while forged packets arrive.

use super::{contestant::Contestant, kinds::Kind, processes};
use anyhow::Context as _;
use letmein_tests::{
    figures,
    flood::{Progress, Sender},
};
use serde_json::{Value, json};
use std::{
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

/// Too few to say anything about a million.
const FEW: u64 = 200;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Knocks.
    pub knocks: usize,
    /// But no longer than this, in all; and as long where nobody can knock.
    pub at_most: Duration,
    /// Forged packets alone; and before that the server alone.
    pub alone: Duration,
}

/// A case and what came of it.
pub struct Case {
    pub contestant: &'static str,
    pub kind: &'static str,
    /// Packets a second that were asked for: `None` is as many as one core can send.
    pub rate: Option<u64>,
    pub outcome: Outcome,
}

/// What came of a case.
pub struct Outcome {
    pub shares: Shares,
    pub effects: Effects,
}

/// Of all packets that were sent.
pub struct Shares {
    /// Those that the server's interface took.
    pub arrived: f64,
    /// Of those that it took, the ones that the gate has dealt with; none if it does not look at such packets.
    pub taken: Option<f64>,
}

/// What they did.
pub struct Effects {
    /// Packets a second that were sent.
    pub sent: f64,
    pub knocks: usize,
    /// Milliseconds of those that succeeded, sorted.
    pub took: Vec<f64>,
    /// CPU seconds of the server's processes for a million forged packets, while nobody knocked, beyond what they take
    /// anyway.
    pub server: f64,
    /// CPU seconds of all softirqs for a million forged packets.
    pub softirq: f64,
}

/// Counters at one time.
struct Reading {
    sent: u64,
    server: Duration,
    softirq: Duration,
    at: Instant,
}

/// CPU seconds a second of a server that has nothing to do.
pub fn idle(contestant: &Contestant, effort: Effort) -> anyhow::Result<f64> {
    let (before, begun) = (processes::cpu_time(&contestant.processes)?, Instant::now());
    thread::sleep(effort.alone);
    let used = processes::cpu_time(&contestant.processes)?.saturating_sub(before);
    Ok(used.as_secs_f64() / begun.elapsed().as_secs_f64())
}

/// Knocks on a contestant while packets of this kind arrive.
pub fn run(
    contestant: &Contestant,
    kind: &Kind,
    rate: Option<u64>,
    effort: Effort,
    idle: f64,
) -> anyhow::Result<Outcome> {
    let template = (kind.template)(contestant.macs()?);
    let host = &contestant.lab.client;
    let sender = Sender::new(host, "to-server", template)?;
    let progress = Progress::default();
    let counts = || anyhow::Ok((contestant.received()?, (contestant.taken)()?));
    let before = counts()?;
    let effects = thread::scope(|scope| {
        let flood = scope.spawn(|| host.enter(|| sender.run(rate, &progress)));
        let effects = measure(contestant, effort, idle, &progress);
        progress.stop.store(true, Ordering::Relaxed);
        flood
            .join()
            .map_err(|_| anyhow::anyhow!("the sender panicked"))???;
        effects
    })?;
    // What is in queues still.
    thread::sleep(effort.alone / 4);
    let after = counts()?;
    let received = count(after.0 - before.0);
    let taken = (count(after.1 - before.1) / received).min(1.0);
    let sent = count(progress.sent.load(Ordering::Relaxed));
    let shares = Shares {
        arrived: (received / sent).min(1.0),
        taken: kind.seen.then_some(taken),
    };
    Ok(Outcome { shares, effects })
}

fn measure(
    contestant: &Contestant,
    effort: Effort,
    idle: f64,
    progress: &Progress,
) -> anyhow::Result<Effects> {
    let reading = || {
        anyhow::Ok(Reading {
            sent: progress.sent.load(Ordering::Relaxed),
            server: processes::cpu_time(&contestant.processes)?,
            softirq: processes::softirq_time()?,
            at: Instant::now(),
        })
    };
    let patience = Instant::now() + Duration::from_secs(5);
    while progress.sent.load(Ordering::Relaxed) == 0 {
        anyhow::ensure!(Instant::now() < patience, "nothing is sent");
        thread::sleep(Duration::from_millis(1));
    }
    let begin = reading()?;
    thread::sleep(effort.alone);
    // On a machine that is busy with other things, the sender may have had no turn yet.
    while progress.sent.load(Ordering::Relaxed) < begin.sent + FEW {
        anyhow::ensure!(Instant::now() < patience, "hardly anything is sent");
        thread::sleep(Duration::from_millis(1));
    }
    let alone = (
        progress.sent.load(Ordering::Relaxed) - begin.sent,
        processes::cpu_time(&contestant.processes)?.saturating_sub(begin.server),
        begin.at.elapsed(),
    );
    let (knocks, mut took) = knock(contestant, effort)?;
    let end = reading()?;
    took.sort_by(f64::total_cmp);
    let sent = count(end.sent - begin.sent);
    let (packets, used, passed) = alone;
    let forged = used.as_secs_f64() - idle * passed.as_secs_f64();
    Ok(Effects {
        sent: sent / (end.at - begin.at).as_secs_f64(),
        knocks,
        took,
        server: forged.max(0.0) / count(packets) * 1e6,
        softirq: end.softirq.saturating_sub(begin.softirq).as_secs_f64() / sent * 1e6,
    })
}

/// How many knocks there were, and the milliseconds of those that succeeded.
fn knock(contestant: &Contestant, effort: Effort) -> anyhow::Result<(usize, Vec<f64>)> {
    let Some(client) = &contestant.knock else {
        thread::sleep(effort.at_most);
        return Ok((0, Vec::new()));
    };
    let begun = Instant::now();
    let (mut knocks, mut took) = (0, Vec::new());
    while knocks < effort.knocks && begun.elapsed() < effort.at_most {
        took.extend(contestant.open(client).context("a knock")?);
        knocks += 1;
    }
    Ok((knocks, took))
}

#[expect(clippy::cast_precision_loss, reason = "packets of some seconds")]
fn count(packets: u64) -> f64 {
    packets as f64
}

impl Effects {
    /// A quantile of the milliseconds; none if no knock succeeded.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        figures::quantile(&self.took, quantile)
    }

    /// Of a hundred knocks; none where nobody can knock.
    #[expect(clippy::cast_precision_loss, reason = "a hundred knocks")]
    pub fn succeeded(&self) -> Option<f64> {
        (self.knocks > 0).then(|| 100.0 * self.took.len() as f64 / self.knocks as f64)
    }
}

impl Case {
    pub fn json(&self) -> Value {
        let round = |figure: f64, to: f64| (figure * to).round() / to;
        let Outcome { shares, effects } = &self.outcome;
        let quantile = |q| effects.quantile(q).map(|ms| round(ms, 10.0));
        json!({
            "contestant": self.contestant,
            "kind": self.kind,
            "rate": self.rate,
            "sent_per_second": effects.sent.round(),
            "taken_by_interface": round(shares.arrived, 1000.0),
            "taken_by_gate": shares.taken.map(|share| round(share, 10_000.0)),
            "knocks": effects.knocks,
            "succeeded_percent": effects.succeeded().map(|percent| round(percent, 10.0)),
            "median_ms": quantile(0.5),
            "p99_ms": quantile(0.99),
            "server_cpu_s_per_million": round(effects.server, 1000.0),
            "softirq_cpu_s_per_million": round(effects.softirq, 1000.0),
        })
    }
}
