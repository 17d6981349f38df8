//! What came of a case: how the guests fared before and during the attack, and what the attacker achieved.

use letmein_tests::figures;
use serde_json::{Map, Value, json};

/// Knocks, and those of them that got in.
#[derive(Clone, Default)]
pub struct Knocks {
    pub count: usize,
    /// Milliseconds of those that got in, sorted.
    took: Vec<f64>,
}

/// What the attacker did.
pub struct Achieved {
    /// What it was asked for: packets, connections or knocks a second.
    pub rate: u64,
    /// What it did each second.
    pub sent: f64,
    /// The share of it that came to the gate.
    pub arrived: f64,
}

/// What came of a case on one gate.
pub struct Outcome {
    pub quiet: Knocks,
    pub attacked: Knocks,
    pub attacker: Achieved,
    /// What else there is to know of this case.
    pub more: Vec<(&'static str, Value)>,
}

impl Knocks {
    /// Those of which each took so many milliseconds, or failed.
    pub fn new(knocks: &[Option<f64>]) -> Self {
        let mut took: Vec<_> = knocks.iter().copied().flatten().collect();
        took.sort_by(f64::total_cmp);
        Self {
            count: knocks.len(),
            took,
        }
    }

    /// Both together.
    pub fn and(&self, other: &Self) -> Self {
        let mut took = [&self.took[..], &other.took[..]].concat();
        took.sort_by(f64::total_cmp);
        Self {
            count: self.count + other.count,
            took,
        }
    }

    /// The share that got in; none of none.
    #[expect(clippy::cast_precision_loss, reason = "a hundred knocks")]
    pub fn share(&self) -> f64 {
        self.took.len() as f64 / self.count.max(1) as f64
    }

    /// The same, with as many digits as mean something.
    pub fn rounded_share(&self) -> f64 {
        round(self.share(), 1e3)
    }

    /// A quantile of the milliseconds; none if no knock got in.
    fn quantile(&self, quantile: f64) -> Option<f64> {
        figures::quantile(&self.took, quantile)
    }
}

/// Those of [`Outcome::line`].
pub const HEADINGS: &str = "                           asked/s   sent/s  arrived   knocks   got in     median        p99 \
                        quiet: got in     median        p99";

impl Outcome {
    pub fn json(&self) -> Map<String, Value> {
        let ms = |knocks: &Knocks, quantile| knocks.quantile(quantile).map(|ms| round(ms, 10.0));
        let figures = json!({
            "share": self.attacked.rounded_share(),
            "median_ms": ms(&self.attacked, 0.5),
            "p99_ms": ms(&self.attacked, 0.99),
            "knocks": self.attacked.count,
            "quiet_share": self.quiet.rounded_share(),
            "quiet_median_ms": ms(&self.quiet, 0.5),
            "quiet_p99_ms": ms(&self.quiet, 0.99),
            "asked_rate": self.attacker.rate,
            "rate": self.attacker.sent.round(),
            "arrived": round(self.attacker.arrived, 1e3),
        });
        let more = self
            .more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        figures
            .as_object()
            .cloned()
            .into_iter()
            .flatten()
            .chain(more)
            .collect()
    }

    pub fn line(&self, name: &str) -> String {
        let Achieved { rate, sent, arrived } = &self.attacker;
        let knocks = |knocks: &Knocks| {
            let ms = |quantile| {
                let ms = knocks.quantile(quantile);
                ms.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"))
            };
            format!("{:>8.1}%{:>11}{:>11}", 100.0 * knocks.share(), ms(0.5), ms(0.99))
        };
        let more: Vec<_> = self
            .more
            .iter()
            .map(|(name, value)| format!(" {name}={value}"))
            .collect();
        format!(
            "{name:<24}{rate:>10}{sent:>9.0}{:>8.0}%{:>9}{}     {}{}",
            100.0 * arrived,
            self.attacked.count,
            knocks(&self.attacked),
            knocks(&self.quiet),
            more.concat(),
        )
    }
}

fn round(figure: f64, to: f64) -> f64 {
    (figure * to).round() / to
}
