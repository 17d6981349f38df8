//! This gate beside others. Genuine knocks while forged packets arrive, at several rates and of all kinds: what share of
//! them gets in, how long it takes, what share of the forged ones each gate takes, and what they cost. Beside the gates
//! there is what no gate can do better than. `cargo xtask bench flood` runs it, `bench open` and `bench memory` the rest.
//! Needs root.
//!
//! Forged packets come from random sources, by the interface that knocks come by, too. One core makes and sends them in the
//! kernel, and receives them: on veth, that is the sender's core. Each knock comes from an address of its own. After `--`,
//! `--quick` shows that it works, and `--only=NAME` is for one contestant.

mod contestant;
mod kinds;
mod limits;
mod measure;
mod memory;
mod open;
mod ours;
mod packages;
mod peers;
mod processes;
mod running;
mod taken;

use anyhow::Context as _;
use contestant::Start;
use letmein_tests::figures;
use measure::{Case, Effort, Outcome};
use serde_json::{Value, json};
use std::{env, io::Write as _, time::Duration};

/// Packets a second; none is as fast as it goes.
const RATES: [Option<u64>; 4] = [Some(10_000), Some(50_000), Some(150_000), None];

const THOROUGH: Effort = Effort {
    knocks: 100,
    at_most: Duration::from_secs(3),
    // A server that does something once a second has done it once.
    alone: Duration::from_secs(1),
};
/// That it works, not how fast.
const QUICK: Effort = Effort {
    knocks: 2,
    at_most: Duration::from_secs(1),
    alone: Duration::from_millis(50),
};

const LIMITS: [(&str, Start); 2] = [
    ("an XDP program that drops all", limits::bare),
    ("a socket that is only read", limits::socket),
];

const GATES: [(&str, Start); 6] = [
    ("silent", ours::silent),
    ("challenge, new address", ours::challenge),
    ("challenge, known network", ours::acquainted),
    ("letmein 12", peers::letmein_12),
    ("fwknop", peers::fwknop),
    ("knockd", peers::knockd),
];

fn main() -> anyhow::Result<()> {
    let has = |flag: &str| env::args().any(|argument| argument == flag);
    if has(limits::READ) {
        return limits::read();
    }
    if has("--open") {
        return open::run();
    }
    let (effort, rates) = if figures::quick() {
        (QUICK, &RATES[1..2])
    } else {
        (THOROUGH, &RATES[..])
    };
    let only = env::args().find_map(|argument| Some(argument.strip_prefix("--only=")?.to_owned()));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.starts_with(only));
    if has("--memory") {
        let footprints: Result<Vec<_>, _> = GATES
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, start)| memory::of(name, *start))
            .collect();
        let footprints = footprints?;
        let json: Vec<_> = footprints.iter().map(memory::Footprint::json).collect();
        let text: Vec<_> = footprints.iter().map(ToString::to_string).collect();
        return print(has("--json"), "gates", &json, &text);
    }
    let mut cases = Vec::new();
    let contestants = LIMITS.iter().chain(&GATES);
    for (name, start) in contestants.filter(|(name, _)| wanted(name)) {
        let mut contestant = start()?;
        contestant.verify().context(*name)?;
        for number in 0..contestant.kinds.len() {
            // What one kind has left behind, others do not suffer from.
            if number > 0 && !figures::quick() {
                contestant = start()?;
                contestant.verify().context(*name)?;
            }
            let kind = &contestant.kinds[number];
            let idle = measure::idle(&contestant, effort)?;
            for rate in rates {
                let case = Case {
                    contestant: name,
                    kind: kind.name,
                    rate: *rate,
                    outcome: measure::run(&contestant, kind, *rate, effort, idle)?,
                };
                eprintln!("{}", line(&case));
                cases.push(case);
            }
        }
    }
    let json: Vec<_> = cases.iter().map(Case::json).collect();
    let text: Vec<_> = std::iter::once(HEADINGS.to_owned())
        .chain(cases.iter().map(line))
        .collect();
    print(has("--json"), "cases", &json, &text)
}

fn print(json: bool, name: &str, values: &[Value], lines: &[String]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", json!({ name: values }))?;
    } else {
        for line in lines {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// Those of [`line`].
const HEADINGS: &str = "                              kind                     rate    sent/s arrived  taken  got in   median      p99  \
                        server/M softirq/M";

fn line(case: &Case) -> String {
    let rate = case.rate.map_or("fastest".to_owned(), |rate| rate.to_string());
    let Outcome { shares, effects } = &case.outcome;
    let ms = |quantile| {
        let ms = effects.quantile(quantile);
        ms.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"))
    };
    let percent = |percent: Option<f64>| percent.map_or("-".to_owned(), |percent| format!("{percent:.0}%"));
    format!(
        "{:<30}{:<20}{rate:>9}{:>10.0}{:>8}{:>7}{:>8}{:>9}{:>9}{:>8.3} s{:>8.3} s",
        case.contestant,
        case.kind,
        effects.sent,
        percent(Some(100.0 * shares.arrived)),
        percent(shares.taken.map(|share| 100.0 * share)),
        percent(effects.succeeded()),
        ms(0.5),
        ms(0.99),
        effects.server,
        effects.softirq
    )
}
