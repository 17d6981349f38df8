//! What is ours in nftables at one moment, to be put back later.
//!
//! Sets of leases are not replaced: the kernel's clocks run on, and who has been let in stays in. Only a lease that has
//! been closed meanwhile is added again, with what is left of it.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::time::Instant;

use serde_json::{Value, json};

use super::contents::{Contents, elements};
use super::error::FirewallError;
use super::nft;
use super::plan::{FirewallPlan, GUARD_TABLE, Mode};

const DOING: &str = "putting back the earlier rules";

/// Our rules, sets and leases as they were.
pub struct Snapshot {
    table: String,
    is_guard: bool,
    contents: Option<Contents>,
    /// Our sets and chains, in nft's language.
    text: String,
    /// By set, the elements with a clock.
    leases: BTreeMap<String, Vec<Value>>,
    taken: Instant,
}

impl Snapshot {
    /// Of everything that installing this plan may change.
    pub fn take(plan: &FirewallPlan) -> Result<Self, FirewallError> {
        plan.check()?;
        let (table, is_guard) = match &plan.mode {
            Mode::Guard { .. } => (GUARD_TABLE.to_owned(), true),
            Mode::Chain { table, .. } => (table.clone(), false),
        };
        let mut snapshot = Self {
            contents: contents(&table, is_guard)?,
            table,
            is_guard,
            text: String::new(),
            leases: BTreeMap::new(),
            taken: Instant::now(),
        };
        if let Some(contents) = &snapshot.contents {
            snapshot.text = snapshot.describe(contents)?;
            snapshot.leases = snapshot.leases(contents)?;
        }
        Ok(snapshot)
    }

    /// Puts it back. The rules change in one transaction; what is not ours is left alone.
    pub fn restore(&self) -> Result<(), FirewallError> {
        let Some(now) = contents(&self.table, self.is_guard)? else {
            // The table is gone. If it was the user's, it takes what was ours along.
            if self.contents.is_some() && self.is_guard {
                nft::script(&[], &self.text, DOING)?;
                return self.restore_leases();
            }
            return Ok(());
        };
        let table = &self.table;
        if self.contents.as_ref() == Some(&now) && self.describe(&now)? == self.text {
            return self.restore_leases();
        }
        let Some(before) = &self.contents else {
            if self.is_guard {
                nft::script(&[], &format!("delete table inet {table}"), DOING)?;
                return Ok(());
            }
            return self.replace(&now, &Contents::default());
        };
        self.replace(&now, before)?;
        self.restore_leases()
    }

    /// From what is there now to what was there before, which is `text`.
    fn replace(&self, now: &Contents, before: &Contents) -> Result<(), FirewallError> {
        let table = &self.table;
        let mut commands = String::new();
        let mut command = |verb: &str, name: &str| {
            // Writing to a string does not fail.
            let _infallible = writeln!(commands, "{verb} inet {table} {name}");
        };
        for chain in &now.chains {
            command("flush chain", chain);
        }
        for chain in now.made_chains.difference(&before.made_chains) {
            command("delete chain", chain);
        }
        for (set, has_clock) in &now.sets {
            match (before.sets.get(set), has_clock) {
                (None, _) => command("delete set", set),
                (Some(_), false) => command("flush set", set),
                (Some(_), true) => {}
            }
        }
        commands.push_str(&self.text);
        nft::script(&[], &commands, DOING)?;
        Ok(())
    }

    fn describe(&self, contents: &Contents) -> Result<String, FirewallError> {
        let with_clock = |wanted| {
            let sets = contents.sets.iter();
            sets.filter(move |(_, has_clock)| **has_clock == wanted)
                .map(|(name, _)| name)
        };
        // A table that has nothing in it is something, too.
        let mut text = format!("table inet {} {{ }}\n", self.table);
        // One at a time: nft 1.0.6 does not find the first of two sets.
        let mut list = |options: &[&str], what: &str, name: &str| {
            let command = format!("list {what} inet {} {name}", self.table);
            text += &nft::script(options, &command, "reading the rules that are there")?;
            Ok::<_, FirewallError>(())
        };
        for set in with_clock(true) {
            list(&["--terse"], "set", set)?;
        }
        for set in with_clock(false) {
            list(&[], "set", set)?;
        }
        for chain in &contents.chains {
            list(&[], "chain", chain)?;
        }
        Ok(text)
    }

    fn leases(&self, contents: &Contents) -> Result<BTreeMap<String, Vec<Value>>, FirewallError> {
        let doing = "reading the leases that are there";
        let mut leases = BTreeMap::new();
        for (set, _) in contents.sets.iter().filter(|(_, has_clock)| **has_clock) {
            let set_of_table = json!({"family": "inet", "table": self.table, "name": set});
            let list = json!({"nftables": [{"list": {"set": set_of_table}}]}).to_string();
            let listing = nft::script(&["--json"], &list, doing)?;
            let elements = elements(&listing).map_err(|error| FirewallError::Nft {
                doing,
                message: format!("its JSON could not be read: {error}"),
            })?;
            leases.insert(set.clone(), elements);
        }
        Ok(leases)
    }

    fn restore_leases(&self) -> Result<(), FirewallError> {
        let Some(now) = contents(&self.table, self.is_guard)? else {
            return Ok(());
        };
        let there = self.leases(&now)?;
        let passed = self.taken.elapsed().as_secs() + 1;
        let mut commands = Vec::new();
        for (set, leases) in &self.leases {
            let still = there.get(set).into_iter().flatten();
            let still: HashSet<_> = still.map(|lease| key(lease).to_string()).collect();
            let gone: Vec<_> = leases
                .iter()
                .filter(|lease| !still.contains(&key(lease).to_string()))
                .filter_map(|lease| with_less(lease, passed))
                .collect();
            if !gone.is_empty() {
                let element = json!({"family": "inet", "table": self.table, "name": set, "elem": gone});
                commands.push(json!({"add": {"element": element}}));
            }
        }
        if !commands.is_empty() {
            let document = json!({ "nftables": commands }).to_string();
            nft::script(&["--json"], &document, "putting back leases")?;
        }
        Ok(())
    }
}

fn contents(table: &str, is_guard: bool) -> Result<Option<Contents>, FirewallError> {
    Ok(nft::list(table)?.map(|listing| listing.contents(is_guard)))
}

/// What an element stands for, whatever its clock says.
fn key(element: &Value) -> &Value {
    element.pointer("/elem/val").unwrap_or(element)
}

/// The element with so many seconds less to live, if there are any left.
fn with_less(element: &Value, seconds: u64) -> Option<Value> {
    let left = element.pointer("/elem/expires")?.as_u64()?.checked_sub(seconds)?;
    let mut element = element.clone();
    *element.pointer_mut("/elem/expires")? = left.into();
    (left > 0).then_some(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_a_lease_runs_on() {
        let lease = json!({"elem": {"val": "192.0.2.1", "timeout": 600, "expires": 90}});
        let later = with_less(&lease, 60).unwrap();
        assert_eq!(
            later["elem"],
            json!({"val": "192.0.2.1", "timeout": 600, "expires": 30})
        );
        assert_eq!(with_less(&lease, 90), None);
        assert_eq!(with_less(&lease, 91), None);
        assert_eq!(key(&lease), key(&later));
    }
}
