//! `docs/benchmarks.md` and its plots, from what the measurements said.

use super::{
    fairness, paper, plot,
    tables::{self, find, list, rate_name, rates, rows},
};
use crate::{paths, sh};
use anyhow::{Context as _, bail};
use serde_json::{Map, Value};
use std::{fs, path::PathBuf, process::Command};

/// Kinds that look genuine to each of the gates until a key is asked for.
const FORGED: [&str; 3] = ["forged, known user", "forged", "first of the sequence"];

fn folder() -> PathBuf {
    paths::workspace().join("docs/benchmarks")
}

fn document() -> PathBuf {
    paths::workspace().join("docs/benchmarks.md")
}

/// What was measured, by measurement.
pub struct Report(Value);

impl Report {
    /// Of these results, on this machine.
    pub fn new(mut results: Map<String, Value>) -> anyhow::Result<Self> {
        results.insert("machine".to_owned(), machine()?);
        Ok(Self(results.into()))
    }

    /// The one that was kept.
    pub fn kept() -> anyhow::Result<Self> {
        let path = folder().join("results.json");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{}: `cargo xtask bench docs` makes it", path.display()))?;
        Ok(Self(serde_json::from_str(&text)?))
    }

    /// Puts one measurement in the place of an earlier one. The machine's figures say when that was.
    pub fn replace(&mut self, name: &str, result: Value) -> anyhow::Result<()> {
        let machine = machine()?;
        let said = |name: &str| machine[name].as_str().unwrap_or("unknown").to_owned();
        let when = format!(
            "commit {}, {}, load before {}",
            said("commit"),
            said("day"),
            said("load before")
        );
        self.0["machine"][format!("`{name}` alone, later")] = when.into();
        self.0[name] = result;
        Ok(())
    }

    /// Keeps it, for [`Self::kept`].
    pub fn keep(&self) -> anyhow::Result<()> {
        fs::create_dir_all(folder())?;
        let text = serde_json::to_string_pretty(&self.0)? + "\n";
        Ok(fs::write(folder().join("results.json"), text)?)
    }

    /// The document with its tables.
    pub fn page(&self) -> anyhow::Result<String> {
        let results = &self.0;
        let mut page = fs::read_to_string(document())?;
        for name in ["machine", "packet", "cpus", "leases", "tags"] {
            page = replaced(&page, name, &tables::properties(&results[name]))?;
        }
        page = replaced(&page, "open", &tables::open(&results["open"]))?;
        page = replaced(&page, "memory", &tables::memory(&results["memory"]))?;
        page = replaced(&page, "flood", &tables::flood(&results["flood"]))?;
        page = replaced(&page, "cost", &tables::cost(&results["flood"]))?;
        page = replaced(&page, "fairness", &fairness::table(&results["fairness"]))?;
        page = replaced(&page, "fastest", &tables::fastest(&results["flood"]))?;
        replaced(&page, "paper", &paper::table(&results["packet"]))
    }

    /// Writes the document and its plots.
    pub fn write(&self) -> anyhow::Result<()> {
        fs::write(document(), self.page()?)?;
        for (name, svg) in [
            ("packet.svg", packet_plot(&self.0["packet"])),
            ("flood.svg", flood_plot(&self.0["flood"])),
            ("cost.svg", cost_plot(&self.0["flood"])),
        ] {
            fs::write(folder().join(name), svg)?;
        }
        Ok(())
    }
}

fn machine() -> anyhow::Result<Value> {
    let said = |program: &str, arguments: &[&str]| {
        let said = sh::output(Command::new(program).args(arguments));
        said.map(|text| text.trim().to_owned())
    };
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu
        .lines()
        .find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim()));
    let cpus = std::thread::available_parallelism()?.get();
    let mut machine = Map::new();
    for (name, text) in [
        ("processor", model.map(ToOwned::to_owned)),
        ("CPUs", Some(cpus.to_string())),
        ("kernel", said("uname", &["-r"])),
        ("commit", said("git", &["rev-parse", "--short", "HEAD"])),
        ("day", said("date", &["-u", "+%Y-%m-%d"])),
        (
            "load before",
            fs::read_to_string("/proc/loadavg").ok().map(|load| {
                let first = load.split(' ').next();
                first.unwrap_or_default().to_owned()
            }),
        ),
    ] {
        machine.insert(
            name.to_owned(),
            text.unwrap_or_else(|| "unknown".to_owned()).into(),
        );
    }
    Ok(machine.into())
}

/// The page with another text between the marks of this name.
fn replaced(page: &str, name: &str, text: &str) -> anyhow::Result<String> {
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- end of {name} -->"));
    let Some((before, rest)) = page.split_once(&begin) else {
        bail!("docs/benchmarks.md has no place for {name}");
    };
    let after = rest
        .split_once(&end)
        .with_context(|| format!("docs/benchmarks.md: {end}"))?
        .1;
    Ok(format!("{before}{begin}\n\n{text}\n{end}{after}"))
}

fn packet_plot(results: &Value) -> String {
    let figures = results.as_object().into_iter().flatten();
    let bars: Vec<_> = figures
        .filter_map(|(name, value)| Some((name.trim_end_matches("_ns").replace('_', " "), value.as_f64()?)))
        .collect();
    plot::bars("Nanoseconds in the XDP program, by kind of packet", "ns", &bars)
}

fn flood_plot(results: &Value) -> String {
    let cases = list(results, "cases");
    let rates = rates(cases);
    let names: Vec<_> = rates.iter().map(rate_name).collect();
    let lines: Vec<_> = forged(cases)
        .map(|(contestant, kind)| {
            let share = |rate| find(cases, contestant, kind, rate)?["succeeded_percent"].as_f64();
            (contestant.to_owned(), rates.iter().map(share).collect())
        })
        .collect();
    plot::lines(
        "Knocks that got in within a second, by forged packets a second",
        "%",
        &names,
        &lines,
    )
}

fn cost_plot(results: &Value) -> String {
    let cases = list(results, "cases");
    let slow = Value::from(10_000);
    let bars: Vec<_> = forged(cases)
        .filter_map(|(contestant, kind)| {
            let case = find(cases, contestant, kind, &slow)?;
            Some((contestant.to_owned(), case["server_cpu_s_per_million"].as_f64()?))
        })
        .collect();
    plot::bars(
        "CPU seconds of the server's processes for a million forged packets, at 10,000 a second",
        "s",
        &bars,
    )
}

fn forged(cases: &[Value]) -> impl Iterator<Item = (&str, &str)> {
    rows(cases).into_iter().filter(|(_, kind)| FORGED.contains(kind))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = "a\n<!-- x -->\nold\n<!-- end of x -->\nb";
        let new = replaced(page, "x", "new\n").ok();
        assert_eq!(
            new.as_deref(),
            Some("a\n<!-- x -->\n\nnew\n\n<!-- end of x -->\nb")
        );
        assert!(replaced(page, "y", "new").is_err());
    }
}
