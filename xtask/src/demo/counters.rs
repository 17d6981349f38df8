//! The counters of the gate, as letmeind logs them.

use std::collections::BTreeMap;

/// How many datagrams were let through (`genuine`), and how many were refused for each reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// Reads a log line such as `... counters genuine=2 auth=7`.
    pub fn parse(line: &str) -> Option<Self> {
        let (_, pairs) = line.split_once("counters ")?;
        pairs
            .split_whitespace()
            .map(|pair| {
                let (name, count) = pair.split_once('=')?;
                Some((name.to_owned(), count.parse().ok()?))
            })
            .collect::<Option<_>>()
            .map(Self)
    }

    /// One of them. What letmeind does not mention is 0.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// The names that letmeind mentioned, `genuine` first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let refused = self.0.keys().map(String::as_str).filter(|name| *name != GENUINE);
        std::iter::once(GENUINE).chain(refused)
    }
}

const GENUINE: &str = "genuine";

#[cfg(test)]
mod tests {
    use super::Counters;

    #[test]
    fn a_log_line_is_read() {
        let line = "2026-11-23T21:30:01.5Z  INFO counters genuine=2 unknown-user=500 auth=7";
        let counters = Counters::parse(line).unwrap_or_default();
        assert_eq!(counters.get("genuine"), 2);
        assert_eq!(counters.get("unknown-user"), 500);
        assert_eq!(counters.get("length"), 0);
        assert_eq!(
            counters.names().collect::<Vec<_>>(),
            ["genuine", "auth", "unknown-user"]
        );
    }

    #[test]
    fn other_lines_are_not() {
        for line in [
            "",
            "INFO ready on port 5800",
            "counters genuine",
            "counters genuine=many",
        ] {
            assert_eq!(Counters::parse(line), None, "{line:?}");
        }
    }
}
