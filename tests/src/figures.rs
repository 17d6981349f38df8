//! Figures of a measurement: several rounds of each, of which the median counts.

use anyhow::Context as _;
use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Named series of samples, in the order in which they are printed.
#[derive(Default)]
pub struct Figures(Vec<Series>);

struct Series {
    name: &'static str,
    samples: Vec<f64>,
}

impl Figures {
    /// Adds a sample to the series of this name.
    pub fn add(&mut self, name: &'static str, sample: f64) {
        match self.0.iter_mut().find(|series| series.name == name) {
            Some(series) => series.samples.push(sample),
            None => self.0.push(Series {
                name,
                samples: vec![sample],
            }),
        }
    }

    /// The median of a series; not a number if there is none.
    #[must_use]
    pub fn median(&self, name: &str) -> f64 {
        self.quantile(name, 0.5)
    }

    /// Prints medians as one JSON object if the command line says `--json`, else a table of minimum, median and
    /// maximum, with `comparisons` after it.
    pub fn print(&self, comparisons: &[String]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if env::args().any(|argument| argument == "--json") {
            let medians = self
                .0
                .iter()
                .map(|series| (series.name.to_owned(), rounded(self.median(series.name)).into()));
            let object = serde_json::Value::Object(medians.collect());
            writeln!(out, "{object}")?;
            return Ok(());
        }
        writeln!(out, "{:<24}{:>10}{:>10}{:>10}", "", "min", "median", "max")?;
        for Series { name, .. } in &self.0 {
            let [min, median, max] = [0.0, 0.5, 1.0].map(|q| rounded(self.quantile(name, q)));
            writeln!(out, "{name:<24}{min:>10}{median:>10}{max:>10}")?;
        }
        for comparison in comparisons {
            writeln!(out, "{comparison}")?;
        }
        Ok(())
    }

    fn quantile(&self, name: &str, quantile: f64) -> f64 {
        let Some(series) = self.0.iter().find(|series| series.name == name) else {
            return f64::NAN;
        };
        let mut sorted = series.samples.clone();
        sorted.sort_by(f64::total_cmp);
        self::quantile(&sorted, quantile).unwrap_or(f64::NAN)
    }
}

/// A quantile of sorted samples; none if there are none.
#[must_use]
pub fn quantile(sorted: &[f64], quantile: f64) -> Option<f64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a place among some hundred samples"
    )]
    let place = (sorted.len().saturating_sub(1) as f64 * quantile).round() as usize;
    sorted.get(place).copied()
}

/// One decimal says enough.
fn rounded(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

/// Whether a smoke run is asked for (`--quick`), which shows that a measurement works and nothing else.
#[must_use]
pub fn quick() -> bool {
    env::args().any(|argument| argument == "--quick")
}

/// An object of `cargo xtask build-ebpf`.
pub fn object(name: &str) -> anyhow::Result<Vec<u8>> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let path = target.join("ebpf").join(name);
    fs::read(&path).with_context(|| format!("{}: run this by `cargo xtask bench`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{Figures, quantile};

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        let mut figures = Figures::default();
        for sample in [9.0, 1.0, 5.0] {
            figures.add("a", sample);
        }
        figures.add("b", 2.0);
        assert!((figures.median("a") - 5.0).abs() < f64::EPSILON);
        assert!((figures.median("b") - 2.0).abs() < f64::EPSILON);
        assert!(figures.median("c").is_nan());
    }
    #[test]
    fn a_quantile_is_one_of_the_samples() {
        let sorted: Vec<_> = (0..=100).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.99), Some(99.0));
        assert_eq!(quantile(&sorted[..1], 0.99), Some(0.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
