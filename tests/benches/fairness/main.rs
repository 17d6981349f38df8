//! Whether anybody keeps others out: floods in a guest's name, a greedy user, a crowd on the TCP control port, a reload
//! in the midst of a flood. For each, what share of other users' knocks gets in within a second and how long that takes,
//! beside the same knocks on the same gate before, and beside letmein 12 where it has what is attacked.
//! `cargo xtask bench fairness` runs it. Needs root.
//!
//! All of it is in network namespaces: guests knock from one host and the attacker is another, on a network of its own.
//! What the attacker achieved is measured as well, because a slow attacker would make any gate look fair. After `--`,
//! `--quick` shows that it works, and `--only=NAME` is for one case.

mod attackers;
mod cases;
mod gates;
mod guests;
mod measure;
mod outcome;
mod reload;

use anyhow::Context as _;
use letmein_tests::figures;
use measure::Effort;
use outcome::Outcome;
use serde_json::{Map, Value};
use std::{env, io::Write as _, time::Duration};

const THOROUGH: Effort = Effort {
    knocks: 60,
    at_most: Duration::from_secs(6),
    slower: 1,
};
/// That it works, not how fair.
const QUICK: Effort = Effort {
    knocks: 2,
    at_most: Duration::from_secs(1),
    slower: 10,
};

/// A case on our gate, and on letmein 12 where that has what is attacked.
struct Row {
    name: &'static str,
    ours: Outcome,
    theirs: Option<Outcome>,
}

fn main() -> anyhow::Result<()> {
    let effort = if figures::quick() { QUICK } else { THOROUGH };
    let only = env::args().find_map(|argument| Some(argument.strip_prefix("--only=")?.to_owned()));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.starts_with(only));
    let mut rows = Vec::new();
    for case in cases::all() {
        if wanted(case.name) {
            let row = Row {
                name: case.name,
                ours: measure::ours(&case, effort).context(case.name)?,
                theirs: measure::theirs(&case, effort).context(case.name)?,
            };
            tell(&row);
            rows.push(row);
        }
    }
    if wanted(reload::NAME) {
        let row = Row {
            name: reload::NAME,
            ours: reload::measure(effort).context(reload::NAME)?,
            theirs: None,
        };
        tell(&row);
        rows.push(row);
    }
    let mut out = std::io::stdout().lock();
    if env::args().any(|argument| argument == "--json") {
        let object: Map<_, _> = rows.iter().map(|row| (row.name.to_owned(), row.json())).collect();
        writeln!(out, "{}", Value::Object(object))?;
        return Ok(());
    }
    writeln!(out, "{}", outcome::HEADINGS)?;
    for line in rows.iter().flat_map(Row::lines) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn tell(row: &Row) {
    for line in row.lines() {
        eprintln!("{line}");
    }
}

impl Row {
    fn json(&self) -> Value {
        let mut object = self.ours.json();
        if let Some(theirs) = &self.theirs {
            object.insert("letmein_12".to_owned(), theirs.json().into());
        }
        object.into()
    }

    fn lines(&self) -> Vec<String> {
        let theirs = self.theirs.iter().map(|theirs| theirs.line("  letmein 12"));
        std::iter::once(self.ours.line(self.name)).chain(theirs).collect()
    }
}
