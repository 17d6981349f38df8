//! What is ours in a table that is there: by name, whatever plan it was made for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::listing::{Listing, is_marked, text};

/// What our sets in a user's table are called.
const IN_USERS_TABLE: &str = "letmein_";

/// The names of our chains and sets in one table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// Chains that hold rules of ours and no others.
    pub chains: BTreeSet<String>,
    /// Those among them that were made by us. In a user's table these are the base chains: the others are the user's.
    pub made_chains: BTreeSet<String>,
    /// Sets, and whether their elements run out.
    pub sets: BTreeMap<String, bool>,
}

impl Listing {
    pub(super) fn contents(&self, is_guard: bool) -> Contents {
        let rules_of = |chain: &str| {
            let rules = self.of_kind("rule");
            let rules: Vec<_> = rules.filter(|rule| text(rule, "chain") == Some(chain)).collect();
            rules
        };
        let is_ours = |chain: &&Value| {
            let rules = rules_of(text(chain, "name").unwrap_or_default());
            rules.iter().all(|rule| is_marked(rule)) && (is_guard || !rules.is_empty())
        };
        let ours: Vec<_> = self.of_kind("chain").filter(is_ours).collect();
        let names = |chains: &mut dyn Iterator<Item = &Value>| {
            chains
                .filter_map(|chain| text(chain, "name").map(str::to_owned))
                .collect()
        };
        let sets = self.of_kind("set").filter_map(|set| {
            let name = text(set, "name")?;
            (is_guard || name.starts_with(IN_USERS_TABLE)).then(|| (name.to_owned(), has_clock(set)))
        });
        Contents {
            chains: names(&mut ours.iter().copied()),
            made_chains: names(
                &mut ours
                    .iter()
                    .copied()
                    .filter(|chain| is_guard || chain.get("hook").is_some()),
            ),
            sets: sets.collect(),
        }
    }
}

fn has_clock(set: &Value) -> bool {
    let flags = set.get("flags").and_then(Value::as_array);
    flags.into_iter().flatten().any(|flag| flag == "timeout")
}

/// The elements of the set in this listing of it.
pub(super) fn elements(json: &str) -> serde_json::Result<Vec<Value>> {
    let document: Value = serde_json::from_str(json)?;
    let objects = document.get("nftables").and_then(Value::as_array);
    let sets = objects
        .into_iter()
        .flatten()
        .filter_map(|object| object.get("set"));
    let elements = sets.filter_map(|set| set.get("elem").and_then(Value::as_array));
    Ok(elements.flatten().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(objects: &str) -> Listing {
        let table = r#"{"table": {"family": "inet", "name": "t"}}"#;
        let json = format!(r#"{{"nftables": [{table}, {objects}]}}"#);
        Listing::parse(json.as_bytes(), "t").unwrap().unwrap()
    }

    const USERS: &str = r#"
        {"chain": {"table": "t", "name": "input", "hook": "input"}},
        {"rule": {"table": "t", "chain": "input", "comment": "mine"}},
        {"chain": {"table": "t", "name": "mixed"}},
        {"rule": {"table": "t", "chain": "mixed", "comment": "letmein: leases"}},
        {"rule": {"table": "t", "chain": "mixed"}},
        {"chain": {"table": "t", "name": "LETMEIN-INPUT"}},
        {"rule": {"table": "t", "chain": "LETMEIN-INPUT", "comment": "letmein: leases"}},
        {"set": {"table": "t", "name": "letmein_leases4", "flags": ["timeout"]}},
        {"set": {"table": "t", "name": "others"}}"#;

    #[test]
    fn nothing_of_the_users_is_ours() {
        let contents = listing(USERS).contents(false);
        assert_eq!(contents.chains, BTreeSet::from(["LETMEIN-INPUT".to_owned()]));
        assert_eq!(contents.made_chains, BTreeSet::new());
        assert_eq!(
            contents.sets,
            BTreeMap::from([("letmein_leases4".to_owned(), true)])
        );
    }

    #[test]
    fn all_of_the_guard_is_ours() {
        let objects = r#"{"chain": {"table": "t", "name": "input", "hook": "input"}},
            {"set": {"table": "t", "name": "leases4", "flags": ["timeout"]}},
            {"set": {"table": "t", "name": "protected"}}"#;
        let contents = listing(objects).contents(true);
        assert_eq!(contents.made_chains, BTreeSet::from(["input".to_owned()]));
        assert_eq!(
            contents.sets,
            BTreeMap::from([("leases4".to_owned(), true), ("protected".to_owned(), false)])
        );
    }
}
