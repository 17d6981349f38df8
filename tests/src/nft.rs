//! nftables: the leases in it, and rules of a user's own.

use crate::lab::Host;
use anyhow::Context as _;
use serde_json::Value;
use std::time::Duration;

/// A user's own rules in chain mode, as most examples have them: they accept what is established first. Whatever letmeind
/// and `inside0` do not let in is closed.
pub const CHAIN_RULES: &str = "table inet filter {
    chain input { type filter hook input priority filter; policy drop;
        ct state established,related accept
        meta l4proto ipv6-icmp accept
        jump LETMEIN-INPUT;
    }
    chain forward { type filter hook forward priority filter; policy drop;
        ct state established,related accept
        meta l4proto ipv6-icmp accept
        iifname \"inside0\" accept
        jump LETMEIN-FORWARD;
    }
    chain LETMEIN-INPUT { }
    chain LETMEIN-FORWARD { }
}";

/// An element of a lease set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// `10.77.1.2 . tcp . 22`, or an address alone
    pub key: String,
    /// How long it was opened for.
    pub timeout: Duration,
    /// How long it still lives, in whole seconds.
    pub left: Duration,
}

/// The elements of a set in a table of family `inet`, sorted by key.
pub fn leases(host: &Host, table: &str, set: &str) -> anyhow::Result<Vec<Lease>> {
    let listing: Value = serde_json::from_str(&host.run("nft", &["-j", "list", "set", "inet", table, set])?)?;
    let elements = listing["nftables"][1]["set"]["elem"].as_array();
    let leases = elements
        .into_iter()
        .flatten()
        .map(|element| lease(&element["elem"]));
    let mut leases = leases
        .collect::<Option<Vec<_>>>()
        .with_context(|| format!("these are no leases: {listing}"))?;
    leases.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(leases)
}

fn lease(element: &Value) -> Option<Lease> {
    let value = &element["val"];
    let alone = [value.clone()];
    let parts = value["concat"].as_array().map_or(&alone[..], Vec::as_slice);
    let parts: Vec<_> = parts
        .iter()
        .map(|part| part.to_string().replace('"', ""))
        .collect();
    Some(Lease {
        key: parts.join(" . "),
        timeout: Duration::from_secs(element["timeout"].as_u64()?),
        left: Duration::from_secs(element["expires"].as_u64()?),
    })
}
