//! Who keeps others out, if the gate lets them. Each runs on the attacker's host until it is told to stop.

mod crowd;
mod flood;
mod greedy;

pub use crowd::crowd;
pub use flood::{Sources, forged_knocks};
pub use greedy::{silent_knocks, tcp_knocks};

use letmein_tests::flood::{Pace, Progress};
use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU64, Ordering},
    thread::sleep,
    time::Duration,
};

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(2);

/// The gate's address for the attacker.
pub const GATE: [u8; 4] = [10, 77, 2, 1];
/// Its control port.
pub const CONTROL: u16 = 5800;

/// What an attacker has done until now.
#[derive(Default)]
pub struct Tally {
    pub progress: Progress,
    /// Connections that were completed.
    pub connected: AtomicU64,
    /// Knocks that got in.
    pub got_in: AtomicU64,
}

/// Attacks until the tally says that it is over.
type Run = Box<dyn FnOnce(&Tally) -> anyhow::Result<()> + Send>;

/// An attacker, ready to begin.
pub struct Attack {
    /// What it is to do each second: packets, connections or knocks.
    pub rate: u64,
    /// How the share of it that came to the gate is known.
    pub arrives: Arrives,
    pub run: Run,
}

/// What is counted at the gate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arrives {
    /// Packets, by its interface.
    Packets,
    /// Connections, by who makes them.
    Connections,
}

impl Tally {
    fn goes_on(&self) -> bool {
        !self.progress.stop.load(Ordering::Relaxed)
    }
}

/// Does `one` so many times a second, with the number of each, until it is told to stop.
fn at_a_rate(rate: u64, tally: &Tally, mut one: impl FnMut(u64) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut pace = Pace::new(rate);
    while tally.goes_on() {
        for _ in 0..pace.due() {
            one(tally.progress.sent.fetch_add(1, Ordering::Relaxed))?;
        }
        sleep(TICK);
    }
    Ok(())
}

/// One of the attacker's addresses, by number.
fn address(number: u64) -> Ipv4Addr {
    let [.., high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 88, high, low)
}
