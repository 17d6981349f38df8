//! What libFuzzer did, as a table.

use anyhow::Context as _;
use std::io::Write as _;

/// One target's figures.
pub struct Row {
    name: &'static str,
    seconds: u32,
    executions: u64,
    new: u64,
}

impl Row {
    /// Finds them in what libFuzzer has written.
    pub fn read(name: &'static str, seconds: u32, told: &str) -> anyhow::Result<Self> {
        let figure = |what: &str| {
            let of = |line: &str| line.strip_prefix(what)?.strip_prefix(':')?.trim().parse().ok();
            let found = told.lines().find_map(of);
            found.with_context(|| format!("libFuzzer does not tell {what}: {told}"))
        };
        Ok(Self {
            name,
            seconds,
            executions: figure("stat::number_of_executed_units")?,
            new: figure("stat::new_units_added")?,
        })
    }
}

/// Prints them all.
pub fn print(rows: &[Row]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:<12}{:>10}{:>14}{:>14}{:>20}",
        "target", "seconds", "executions", "a second", "reached new code"
    )?;
    for row in rows {
        let rate = row.executions / u64::from(row.seconds.max(1));
        writeln!(
            out,
            "{:<12}{:>10}{:>14}{rate:>14}{:>20}",
            row.name, row.seconds, row.executions, row.new
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Row;

    #[test]
    fn figures_are_found_among_the_rest() {
        let told = "Done 6169 runs in 21 second(s)\nstat::number_of_executed_units: 6169\n\
                    stat::new_units_added:          741\nstat::peak_rss_mb: 50\n";
        let row = Row::read("packets", 21, told).unwrap();
        assert_eq!((row.executions, row.new), (6169, 741));
        assert!(Row::read("packets", 21, "killed").is_err());
    }
}
