//! The others: users who knock now and then, each with the real client.

use super::{gates::Stage, measure::Effort, outcome::Knocks};
use anyhow::ensure;
use letmein_tests::guest::{Opened, connects, knock_and_connect};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU16, Ordering},
    thread::{available_parallelism, sleep},
    time::{Duration, Instant},
};

/// How to knock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    Udp,
    Tcp,
    Silent,
}

/// Where knocks come from.
#[derive(Clone)]
pub enum From {
    /// All from the address of the client's host, which is closed out again before each.
    Own,
    /// Each from an address that nobody has knocked from.
    Fresh,
    /// From these, in turn.
    Known(Vec<Ipv4Addr>),
}

/// Who knocks, and how.
pub struct Guests {
    /// How many users there are. They take turns.
    pub users: usize,
    /// Taken in turns, too.
    pub by: &'static [By],
    pub from: From,
    /// From the start of one knock to that of the next.
    pub pause: Duration,
    /// Whether they run on the CPU that forged packets are sent and received on, whose budget of HMACs these use up: as
    /// with a network card that has one queue.
    pub beside_the_flood: bool,
}

/// The port that they want, as they see it.
pub fn port() -> SocketAddr {
    SocketAddr::from((GATE, 22))
}

/// The gate's address for them.
pub const GATE: [u8; 4] = [10, 77, 1, 1];
/// Their host's own address.
pub const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);

impl Guests {
    /// Has them knock. Who is late does not hurry.
    pub fn knock(&self, stage: &Stage, effort: Effort) -> anyhow::Result<Knocks> {
        let begun = Instant::now();
        let mut knocks = Vec::new();
        while knocks.len() < effort.knocks && begun.elapsed() < effort.at_most {
            let next = Instant::now() + self.pause;
            knocks.push(self.knock_once(stage, knocks.len())?);
            sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(Knocks::new(&knocks))
    }

    /// Milliseconds of the knock with this number, if it got in.
    fn knock_once(&self, stage: &Stage, number: usize) -> anyhow::Result<Option<f64>> {
        let source = match &self.from {
            From::Own => OWN,
            From::Fresh => fresh_address(),
            From::Known(addresses) => addresses[number % addresses.len()],
        };
        stage.come_from(source)?;
        let closed = matches!(self.from, From::Fresh) || stage.close(source)?;
        let client = stage.client(number % self.users, self.by[number % self.by.len()]);
        let opened = stage.lab.client.enter(|| {
            if self.beside_the_flood {
                stay_on_last_cpu()?;
            }
            ensure!(!closed || !connects(port()), "the port is open to {source}");
            knock_and_connect(client, port())
        })??;
        let opened = opened.filter(|Opened { client, .. }| client.success());
        Ok(opened.map(|opened| opened.milliseconds))
    }
}

/// As the sender of forged packets does.
fn stay_on_last_cpu() -> anyhow::Result<()> {
    let mut one = CpuSet::new();
    one.set(available_parallelism()?.get() - 1)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &one)?)
}

/// Each only once in this process.
pub fn fresh_address() -> Ipv4Addr {
    static NUMBER: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(10, 80, high, low)
}
