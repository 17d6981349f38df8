//! One case: knocks while forged packets arrive.

use super::{
    contestant::Contestant,
    kinds::Kind,
    processes,
    sender::{Progress, Sender},
};
use anyhow::Context as _;
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
    /// But no longer than this, in all.
    pub at_most: Duration,
    /// Forged packets alone.
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
    /// Packets a second that were sent.
    pub sent: f64,
    /// Share of them that the server's interface took.
    pub taken: f64,
    pub knocks: usize,
    /// Milliseconds of those that succeeded, sorted.
    pub took: Vec<f64>,
    /// CPU seconds of the server's processes for a million forged packets, while nobody knocked.
    pub server: f64,
    /// CPU seconds of all softirqs for a million forged packets.
    pub softirq: f64,
}

/// Counters at one time.
struct Reading {
    sent: u64,
    received: u64,
    server: Duration,
    softirq: Duration,
    at: Instant,
}

/// Knocks on a contestant while packets of this kind arrive.
pub fn run(
    contestant: &Contestant,
    kind: &Kind,
    rate: Option<u64>,
    effort: Effort,
) -> anyhow::Result<Outcome> {
    let template = (kind.template)(contestant.macs()?);
    let host = &contestant.lab.client;
    let sender = Sender::new(host, "to-server", template)?;
    let progress = Progress::default();
    thread::scope(|scope| {
        let flood = scope.spawn(|| host.enter(|| sender.run(rate, &progress)));
        let outcome = measure(contestant, effort, &progress);
        progress.stop.store(true, Ordering::Relaxed);
        flood
            .join()
            .map_err(|_| anyhow::anyhow!("the sender panicked"))???;
        outcome
    })
}

fn measure(contestant: &Contestant, effort: Effort, progress: &Progress) -> anyhow::Result<Outcome> {
    let reading = || {
        anyhow::Ok(Reading {
            sent: progress.sent.load(Ordering::Relaxed),
            received: contestant.received()?,
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
    let alone = reading()?;
    let mut took = Vec::new();
    let mut knocks = 0;
    while knocks < effort.knocks && alone.at.elapsed() < effort.at_most {
        took.extend(contestant.open().context("a knock")?);
        knocks += 1;
    }
    let end = reading()?;
    took.sort_by(f64::total_cmp);
    let sent = count(end.sent - begin.sent);
    Ok(Outcome {
        sent: sent / (end.at - begin.at).as_secs_f64(),
        taken: (count(end.received - begin.received) / sent).min(1.0),
        knocks,
        took,
        server: alone.server.saturating_sub(begin.server).as_secs_f64() / count(alone.sent - begin.sent)
            * 1e6,
        softirq: end.softirq.saturating_sub(begin.softirq).as_secs_f64() / sent * 1e6,
    })
}

#[expect(clippy::cast_precision_loss, reason = "packets of some seconds")]
fn count(packets: u64) -> f64 {
    packets as f64
}

impl Outcome {
    /// A quantile of the milliseconds; none if no knock succeeded.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a place among a hundred samples"
        )]
        let place = (self.took.len().saturating_sub(1) as f64 * quantile).round() as usize;
        self.took.get(place).copied()
    }

    /// Of a hundred knocks.
    #[expect(clippy::cast_precision_loss, reason = "a hundred knocks")]
    pub fn succeeded(&self) -> f64 {
        100.0 * self.took.len() as f64 / self.knocks.max(1) as f64
    }
}

impl Case {
    pub fn json(&self) -> Value {
        let round = |figure: f64, to: f64| (figure * to).round() / to;
        let outcome = &self.outcome;
        let quantile = |q| outcome.quantile(q).map(|ms| round(ms, 10.0));
        json!({
            "contestant": self.contestant,
            "kind": self.kind,
            "rate": self.rate,
            "sent_per_second": outcome.sent.round(),
            "taken_by_interface": round(outcome.taken, 1000.0),
            "knocks": outcome.knocks,
            "succeeded_percent": round(outcome.succeeded(), 10.0),
            "median_ms": quantile(0.5),
            "p99_ms": quantile(0.99),
            "server_cpu_s_per_million": round(outcome.server, 1000.0),
            "softirq_cpu_s_per_million": round(outcome.softirq, 1000.0),
        })
    }
}
