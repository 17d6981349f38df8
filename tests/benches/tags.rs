//! Keeping the table of tags true for 10,000 users with 10 resources each. `cargo xtask bench tags` runs it. Needs root.
//!
//! Filling is done once, at start; renewing once for each epoch, whose tags are valid only 30 s later. Both are compared
//! with the epoch that they have time for.

use anyhow::Context as _;
use letmein_common::wire::silent::EPOCH_SECONDS;
use letmein_daemon::{
    config::Config,
    silent::tags::{Clock, TagTable},
    xdp::{Framing, KernelGate, Object, Plan, SilentPlan},
};
use letmein_tests::figures::{self, Figures};
use std::{
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

/// A hundred times fewer in a smoke run.
fn users() -> u32 {
    if figures::quick() { 100 } else { 10_000 }
}

const RESOURCES: u16 = 10;
const ROUNDS: u32 = 5;

fn main() -> anyhow::Result<()> {
    let config = Config::parse(&configuration(), Path::new("bench"), Path::new("/"))?;
    let object = figures::object("letmein.bpf.o")?;
    let mut clock = Clock::now();
    let mut figures = Figures::default();
    let rounds = if figures::quick() { 1 } else { ROUNDS };
    for _ in 0..rounds {
        let mut gate = KernelGate::load(Object::new(&object), &plan(&config))?;
        let mut table = TagTable::new(&config, letmein_daemon::silent::tags::Unknown::default());
        figures.add("fill_ms", apply(&mut gate, &mut table, &config, clock)?);
        for _ in 0..rounds {
            clock.monotonic += EPOCH_SECONDS * 1_000_000_000;
            clock.wall += Duration::from_secs(EPOCH_SECONDS);
            figures.add("renew_ms", apply(&mut gate, &mut table, &config, clock)?);
        }
    }
    let epoch_ms = f64::from(u32::try_from(EPOCH_SECONDS)?) * 1e3;
    let share = figures.median("renew_ms") / epoch_ms * 100.0;
    figures.print(&[format!(
        "renew_ms: {share:.1} % of an epoch, for {} tags",
        config.permits().len()
    )])
}

fn configuration() -> String {
    let mut text = "[gate]\nxdp = \"off\"\nsilent = true\n".to_owned();
    for resource in 1..=RESOURCES {
        // Writing to a string does not fail.
        let _infallible = write!(
            text,
            "[resources.r{resource}]\nid = \"{resource:x}\"\nports = [\"tcp/{resource}\"]\n"
        );
    }
    for user in 1..=users() {
        let _infallible = write!(
            text,
            "[users.u{user}]\nid = \"{user:x}\"\nkey = \"{user:064x}\"\nresources = [\"*\"]\n"
        );
    }
    text
}

fn plan(config: &Config) -> Plan<'_> {
    Plan {
        settings: config.settings(),
        users: config.users().map(|(id, user)| (id, &user.key)).collect(),
        permits: config.permits(),
        seen_salts: 65_536,
        pending_challenges: 4096,
        silent: Some(SilentPlan {
            keys: config
                .users()
                .filter_map(|(id, user)| Some((id, &user.silent.as_ref()?.mac)))
                .collect(),
            pairs: config.permits().len(),
        }),
        shield: None,
        framings: vec![Framing::Ethernet],
        pins: None,
    }
}

/// Milliseconds for all changes that are due.
fn apply(gate: &mut KernelGate, table: &mut TagTable, config: &Config, clock: Clock) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut changes = 0_usize;
    for change in table.changes(config, clock) {
        gate.change_tag(&change).context("the table of tags")?;
        changes += 1;
    }
    anyhow::ensure!(changes >= config.permits().len(), "{changes} changes only");
    Ok(started.elapsed().as_secs_f64() * 1e3)
}
