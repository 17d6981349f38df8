//! What is in a table already, and whose it is.

use letmein_common::ResourceId;
use serde_json::Value;

use super::error::FirewallError;
use super::layout::Layout;
use super::plan::{BASE_CHAINS, CUT_CHAIN, FORWARD_CHAIN, GUARD_CHAIN, Hook, MARK};

/// The chains of the guard's table, and the hook of each.
const GUARD_CHAINS: [(&str, &str); 3] = [
    (GUARD_CHAIN, "input"),
    (FORWARD_CHAIN, "forward"),
    (CUT_CHAIN, "postrouting"),
];

/// What an earlier plan asked for and this one does not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stale {
    /// Each with the chain it is in.
    pub rules: Vec<(String, u32)>,
    pub chains: Vec<String>,
    pub sets: Vec<String>,
}

/// The objects of one table as nft lists them.
///
/// Kept as plain JSON: a user's table may hold anything that this or a later nft knows, and only names,
/// comments, types and hooks matter here.
pub(super) struct Listing {
    objects: Vec<(String, Value)>,
}

impl Listing {
    /// What is said of this table in a listing of several; `None` if it is not among them.
    pub(super) fn parse(json: &[u8], table: &str) -> serde_json::Result<Option<Self>> {
        let document: Value = serde_json::from_slice(json)?;
        let objects = document
            .get("nftables")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let objects = objects.filter_map(Value::as_object).flatten();
        let of_table = |(kind, object): &(&String, &Value)| {
            text(object, if *kind == "table" { "name" } else { "table" }) == Some(table)
        };
        let objects: Vec<_> = objects
            .filter(of_table)
            .map(|(kind, object)| (kind.clone(), object.clone()))
            .collect();
        let found = objects.iter().any(|(kind, _)| kind == "table");
        Ok(found.then_some(Self { objects }))
    }

    pub(super) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects
            .iter()
            .filter(move |(other, _)| other == kind)
            .map(|(_, object)| object)
    }

    fn named<'a>(&'a self, kind: &'a str, name: &'a str) -> Option<&'a Value> {
        self.of_kind(kind)
            .find(move |object| text(object, "name") == Some(name))
    }

    /// The names of our sets, of this plan or an earlier one.
    fn our_sets<'a>(&'a self, layout: &'a Layout) -> impl Iterator<Item = &'a str> {
        self.of_kind("set")
            .filter_map(|set| text(set, "name"))
            .filter(|name| layout.shape(name).is_some())
    }

    /// What of ours is in a table besides these chains, their rules, and the sets that are wanted.
    pub(super) fn stale(&self, layout: &Layout, chains: &[&str]) -> Stale {
        let unwanted = |name: &str| !chains.contains(&name);
        let ours = self.of_kind("chain").filter_map(|chain| text(chain, "name"));
        let ours: Vec<_> = ours
            .filter(|name| unwanted(name) && layout.is_our_chain(name))
            .map(str::to_owned)
            .collect();
        let rules = self
            .marked_rules()
            .filter(|(chain, _)| unwanted(chain) && !layout.is_our_chain(chain));
        Stale {
            rules: rules.map(|(chain, handle)| (chain.to_owned(), handle)).collect(),
            chains: ours,
            sets: self
                .our_sets(layout)
                .filter(|name| !layout.wants(name))
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Everything of ours in a user's table.
    pub(super) fn all_ours(&self, layout: &Layout) -> Stale {
        Stale {
            sets: self.our_sets(layout).map(str::to_owned).collect(),
            ..self.stale(layout, &[])
        }
    }

    /// The handles of our rules, with the chain each is in.
    pub(super) fn marked_rules(&self) -> impl Iterator<Item = (&str, u32)> {
        self.of_kind("rule")
            .filter(|rule| is_marked(rule))
            .filter_map(|rule| {
                let handle = rule.get("handle").and_then(Value::as_u64)?;
                Some((text(rule, "chain")?, u32::try_from(handle).ok()?))
            })
    }

    /// Refuses a table `inet letmein` that somebody else made.
    pub(super) fn check_guard(&self, layout: &Layout) -> Result<(), FirewallError> {
        for (kind, object) in &self.objects {
            let name = text(object, "name").unwrap_or_default();
            let ours = match kind.as_str() {
                "table" | "rule" => true,
                "chain" => GUARD_CHAINS.iter().any(|(ours, _)| *ours == name),
                "set" => layout.shape(name).is_some(),
                _ => false,
            };
            if !ours {
                return Err(FirewallError::ForeignTable {
                    what: format!("it holds the {kind} `{name}`"),
                });
            }
        }
        for (name, hook) in GUARD_CHAINS {
            if let Some(chain) = self.named("chain", name)
                && text(chain, "hook") != Some(hook)
            {
                return Err(FirewallError::ForeignTable {
                    what: format!("its chain `{name}` is not at the {hook} hook"),
                });
            }
        }
        if self.of_kind("rule").next().is_some() && !self.of_kind("rule").any(is_marked) {
            return Err(FirewallError::ForeignTable {
                what: "its rules are not ours".to_owned(),
            });
        }
        self.check_sets(layout)
    }

    /// Refuses a user's table that we cannot use, or would harm.
    pub(super) fn check_user(&self, layout: &Layout, chains: &[(Hook, &str)]) -> Result<(), FirewallError> {
        for (hook, chain) in chains {
            self.check_chain(&layout.table, *hook, chain)?;
        }
        for (hook, chain) in BASE_CHAINS {
            let chain = layout.name(chain);
            if let Some(found) = self.named("chain", &chain)
                && (text(found, "hook") != Some(hook.name()) || self.has_foreign_rules(&chain))
            {
                let table = layout.table.clone();
                return Err(FirewallError::ForeignRules { table, chain });
            }
        }
        self.check_sets(layout)
    }

    /// Refuses a chain that cannot be jumped to.
    pub(super) fn check_jump(
        &self,
        table: &str,
        ours: &[(Hook, &str)],
        resource: ResourceId,
        chain: &str,
    ) -> Result<(), FirewallError> {
        let (table, chain) = (table.to_owned(), chain.to_owned());
        let what = match self.named("chain", &chain) {
            None => {
                return Err(FirewallError::NoJumpTarget {
                    table,
                    chain,
                    resource,
                });
            }
            Some(found) if found.get("hook").is_some() => "a base chain",
            Some(_) if ours.iter().any(|(_, name)| *name == chain) => "letmeind's own",
            Some(_) => return Ok(()),
        };
        Err(FirewallError::BadJumpTarget {
            table,
            chain,
            resource,
            what,
        })
    }

    fn check_chain(&self, table: &str, hook: Hook, chain: &str) -> Result<(), FirewallError> {
        let (table, chain) = (table.to_owned(), chain.to_owned());
        let Some(found) = self.named("chain", &chain) else {
            return Err(FirewallError::NoChain { table, chain, hook });
        };
        if found.get("hook").is_some() {
            return Err(FirewallError::BaseChain { table, chain });
        }
        if self.has_foreign_rules(&chain) {
            return Err(FirewallError::ForeignRules { table, chain });
        }
        Ok(())
    }

    fn has_foreign_rules(&self, chain: &str) -> bool {
        self.of_kind("rule")
            .any(|rule| text(rule, "chain") == Some(chain) && !is_marked(rule))
    }

    /// Whether a rule of the table jumps or goes to the chain. (A verdict map may do so too: its elements are
    /// not listed.)
    pub(super) fn is_jumped_to(&self, chain: &str) -> bool {
        self.of_kind("rule").any(|rule| jumps_to(rule, chain)) || self.of_kind("map").next().is_some()
    }

    fn check_sets(&self, layout: &Layout) -> Result<(), FirewallError> {
        for set in self.of_kind("set") {
            let name = text(set, "name").unwrap_or_default();
            if let Some(shape) = layout.shape(name)
                && (words(set, "type") != shape.key || !has_flags(set, shape.flag))
            {
                return Err(FirewallError::ForeignSet {
                    table: layout.table.clone(),
                    set: name.to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Whether a set has this flag and no other; newer nft also tells which are changed by packets.
fn has_flags(set: &Value, flag: Option<&str>) -> bool {
    let mut flags = words(set, "flags");
    flags.retain(|flag| *flag != "dynamic");
    flags == Vec::from_iter(flag)
}

/// The words of a field that has several, or only one.
fn words<'a>(object: &'a Value, field: &str) -> Vec<&'a str> {
    match object.get(field) {
        Some(Value::String(word)) => vec![word],
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    }
}

pub(super) fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field).and_then(Value::as_str)
}

pub(super) fn is_marked(rule: &Value) -> bool {
    text(rule, "comment").is_some_and(|comment| comment.starts_with(MARK))
}

fn jumps_to(value: &Value, chain: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| jumps_to(item, chain)),
        Value::Object(fields) => fields.iter().any(|(name, field)| {
            (["jump", "goto"].contains(&name.as_str()) && text(field, "target") == Some(chain))
                || jumps_to(field, chain)
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{FirewallPlan, Mode};
    use super::*;

    fn guard() -> Layout {
        FirewallPlan::default().layout()
    }

    fn chain() -> Layout {
        let mode = Mode::Chain {
            table: "filter".to_owned(),
            chain: "LETMEIN-INPUT".to_owned(),
        };
        FirewallPlan {
            mode,
            ..FirewallPlan::default()
        }
        .layout()
    }

    fn listing(objects: &[&str]) -> Listing {
        let mut objects: Vec<Value> = objects
            .iter()
            .map(|object| serde_json::from_str(object).unwrap())
            .collect();
        for object in &mut objects {
            for (_, fields) in object.as_object_mut().unwrap() {
                fields["table"] = "t".into();
            }
        }
        let other = r#"{"chain": {"name": "other", "table": "another"}}"#;
        objects.extend([
            serde_json::json!({"table": {"name": "t"}}),
            serde_json::from_str(other).unwrap(),
        ]);
        let document = serde_json::json!({ "nftables": objects }).to_string();
        assert!(Listing::parse(document.as_bytes(), "another").unwrap().is_none());
        Listing::parse(document.as_bytes(), "t").unwrap().unwrap()
    }

    const OUR_CHAIN: &str = r#"{"chain": {"name": "input", "hook": "input", "type": "filter"}}"#;
    const OUR_RULE: &str = r#"{"rule": {"chain": "input", "handle": 7, "comment": "letmein: loopback"}}"#;
    const FOREIGN_RULE: &str = r#"{"rule": {"chain": "LETMEIN-INPUT", "handle": 8, "comment": "mine"}}"#;
    const LEASES4: &str = r#"{"set": {"name": "leases4", "flags": ["timeout"],
                              "type": ["ipv4_addr", "inet_proto", "inet_service"]}}"#;

    #[test]
    fn a_table_of_ours_is_taken_over_flushed_or_not() {
        listing(&[]).check_guard(&guard()).unwrap();
        listing(&[LEASES4]).check_guard(&guard()).unwrap();
        let whole = listing(&[LEASES4, OUR_CHAIN, OUR_RULE]);
        whole.check_guard(&guard()).unwrap();
        assert_eq!(whole.marked_rules().collect::<Vec<_>>(), [("input", 7)]);
    }

    #[test]
    fn a_table_of_somebody_else_is_refused() {
        for foreign in [
            r#"{"chain": {"name": "other"}}"#,
            r#"{"chain": {"name": "input", "hook": "forward"}}"#,
            r#"{"map": {"name": "m"}}"#,
            FOREIGN_RULE,
        ] {
            let outcome = listing(&[foreign]).check_guard(&guard());
            assert!(
                matches!(outcome, Err(FirewallError::ForeignTable { .. })),
                "{foreign}"
            );
        }
        let set = r#"{"set": {"name": "leases4", "type": "ipv4_addr", "flags": ["timeout"]}}"#;
        let outcome = listing(&[set]).check_guard(&guard());
        assert!(matches!(outcome, Err(FirewallError::ForeignSet { .. })));
    }

    #[test]
    fn a_users_chain_must_be_there_plain_and_ours_alone() {
        let check =
            |objects: &[&str]| listing(objects).check_user(&chain(), &[(Hook::Input, "LETMEIN-INPUT")]);
        let chain = r#"{"chain": {"name": "LETMEIN-INPUT"}}"#;
        check(&[chain, OUR_RULE, OUR_CHAIN]).unwrap();
        assert!(matches!(check(&[OUR_CHAIN]), Err(FirewallError::NoChain { .. })));
        let base = r#"{"chain": {"name": "LETMEIN-INPUT", "hook": "input"}}"#;
        assert!(matches!(check(&[base]), Err(FirewallError::BaseChain { .. })));
        assert!(matches!(
            check(&[chain, FOREIGN_RULE]),
            Err(FirewallError::ForeignRules { .. })
        ));
    }

    #[test]
    fn a_jump_is_found_wherever_it_is() {
        let rule = |expr: &str| format!(r#"{{"rule": {{"chain": "input", "expr": [{expr}]}}}}"#);
        let jump = rule(r#"{"jump": {"target": "LETMEIN-INPUT"}}"#);
        let mapped = rule(r#"{"vmap": {"data": {"set": [["new", {"goto": {"target": "LETMEIN-INPUT"}}]]}}}"#);
        let other = rule(r#"{"jump": {"target": "OTHER"}}"#);
        assert!(listing(&[&jump]).is_jumped_to("LETMEIN-INPUT"));
        assert!(listing(&[&mapped]).is_jumped_to("LETMEIN-INPUT"));
        assert!(!listing(&[&other]).is_jumped_to("LETMEIN-INPUT"));
    }
}
