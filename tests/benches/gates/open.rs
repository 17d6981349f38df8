//! How long a knock takes on each gate, in turn: milliseconds from starting the client to the first accepted connection.
//! `cargo xtask bench open` runs it.

use super::{contestant::Start, ours, peers};
use anyhow::Context as _;
use letmein_tests::figures::{self, Figures};

const ROUNDS: u32 = 41;
const GATES: [(&str, Start); 5] = [
    ("silent_ms", ours::silent),
    ("challenge_ms", ours::challenge),
    ("letmein_12_ms", peers::letmein_12),
    ("fwknop_ms", peers::fwknop),
    ("knockd_ms", peers::knockd),
];

/// Each knock comes from an address that has never knocked before.
pub fn run() -> anyhow::Result<()> {
    let mut gates = Vec::new();
    for (name, start) in GATES {
        let contestant = start()?;
        contestant.verify().context(name)?;
        gates.push((name, contestant));
    }
    let mut figures = Figures::default();
    for _ in 0..if figures::quick() { 1 } else { ROUNDS } {
        for (name, gate) in &gates {
            let knock = gate.knock.as_ref().context("nobody can knock there")?;
            let took = gate.open(knock)?;
            figures.add(
                name,
                took.with_context(|| format!("{name}: a knock opens nothing"))?,
            );
        }
    }
    let ratio = |name| {
        let ratio = figures.median(name) / figures.median("letmein_12_ms");
        format!("{name}: {ratio:.2} x letmein_12_ms")
    };
    figures.print(&GATES.map(|(name, _)| ratio(name)))
}
