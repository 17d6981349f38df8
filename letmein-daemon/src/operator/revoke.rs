//! `letmeind revoke`: closes the leases of an address, of a user, or all.

use super::{
    Desk,
    client::{Client, unexpected},
    format::number,
    leases::{opener_name, resource},
    protocol::{Answer, Of, Request, Revoked},
};
use crate::{
    config::Config,
    firewall::{LeaseKey, Target},
    leases::{Grant, Living, Opener},
};
use anyhow::bail;
use letmein_common::UserId;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
};
use tracing::info;

/// How many leases are looked at or closed at a time: knocks are served in between.
const SOME: usize = 1024;
/// Of how many users and operators it is said how many leases they had.
const TOLD: usize = 16;

/// Whose leases.
enum Whose {
    All,
    Address(IpAddr),
    User(UserId),
}

pub(super) async fn answer(desk: &Desk, operator: u32, whose: &str) -> anyhow::Result<Answer> {
    let config = &*desk.state.config();
    let wanted = read(config, whose)?;
    let mut revoked = Revoked::default();
    let mut of: BTreeMap<Opener, usize> = BTreeMap::new();
    let mut kept = BTreeSet::new();
    let mut last: Option<Living> = None;
    loop {
        let page = desk.state.leases.borrow().page(last.as_ref(), SOME);
        let Some(end_of_page) = page.last() else {
            break;
        };
        last = Some(*end_of_page);
        if matches!(wanted, Whose::User(_)) {
            let unknown = page.iter().filter(|lease| lease.grant.opener == Opener::Unknown);
            revoked.of_unknown_users += unknown.count();
        }
        let grants: Vec<_> = page
            .iter()
            .map(|lease| lease.grant)
            .filter(|grant| wanted.includes(config, grant))
            .collect();
        if !grants.is_empty() {
            let ended = desk.state.leases.borrow_mut().revoke(&grants)?;
            revoked.leases += ended.grants.len();
            revoked.connections += ended.connections;
            for grant in &ended.grants {
                *of.entry(grant.opener).or_default() += 1;
            }
            kept.extend(ended.kept);
        }
        tokio::task::yield_now().await;
    }
    // What one page has left may have ended with a later one.
    kept.retain(|key| desk.state.leases.borrow().is_open(key));
    revoked.kept_open = kept.len();
    revoked.of = told(config, of);
    desk.state.leases.borrow_mut().note_revocation(operator, whose);
    info!(
        event = "revoked",
        operator,
        whose,
        leases = revoked.leases,
        connections = revoked.connections,
        kept = revoked.kept_open,
        "operator (uid {operator}) revoked {} leases of {whose}{}; {} connections ended",
        revoked.leases,
        owners(&revoked.of),
        revoked.connections
    );
    Ok(Answer::Revoked(revoked))
}

fn read(config: &Config, whose: &str) -> anyhow::Result<Whose> {
    if whose == "all" {
        return Ok(Whose::All);
    }
    if let Ok(address) = whose.parse::<IpAddr>() {
        return Ok(Whose::Address(address.to_canonical()));
    }
    match config.users().find(|(_, user)| user.name == whose) {
        Some((id, _)) => Ok(Whose::User(id)),
        None => bail!("{whose:?} is no address and no user; \"all\" stands for all leases"),
    }
}

/// How many leases of whom, the most first.
fn told(config: &Config, of: BTreeMap<Opener, usize>) -> Vec<Of> {
    let mut of: Vec<_> = of.into_iter().collect();
    of.sort_by_key(|(_, leases)| Reverse(*leases));
    of.truncate(TOLD);
    let told = |(opener, leases)| Of {
        who: opener_name(config, opener),
        leases,
    };
    of.into_iter().map(told).collect()
}

impl Whose {
    fn includes(&self, config: &Config, grant: &Grant) -> bool {
        match self {
            Self::All => true,
            Self::User(user) => grant.opener == Opener::User(*user),
            Self::Address(address) => holds(config, &grant.key, *address),
        }
    }
}

/// Whether the address is the lease's, or in its network. What is open for everybody is nobody's.
fn holds(config: &Config, key: &LeaseKey, address: IpAddr) -> bool {
    if matches!(key.target, Target::JumpForAll(_)) {
        return false;
    }
    let prefix = resource(config, key).map_or(128, |resource| resource.ipv6_prefix);
    let held = LeaseKey { address, ..*key };
    key.address == held.in_prefix(prefix).address
}

/// Asks for it.
pub fn run(socket: &Path, whose: String) -> anyhow::Result<()> {
    let revoked = match Client::connect(socket)?.ask(&Request::Revoke { whose })? {
        Answer::Revoked(revoked) => revoked,
        other => return unexpected(&other),
    };
    println!("{}", text(&revoked));
    Ok(())
}

fn text(revoked: &Revoked) -> String {
    let leases = number(revoked.leases, "lease", "leases");
    let mut parts = vec![format!("{leases} revoked{}", owners(&revoked.of))];
    if revoked.connections > 0 {
        let ended = number(revoked.connections, "connection", "connections");
        parts.push(format!("{ended} ended"));
    }
    if revoked.kept_open > 0 {
        let kept = number(revoked.kept_open, "port stays", "ports stay");
        parts.push(format!("{kept} open by leases of others"));
    }
    if revoked.of_unknown_users > 0 {
        let left = number(revoked.of_unknown_users, "lease", "leases");
        parts.push(format!(
            "{left} of unknown users left alone: revoke those by address"
        ));
    }
    parts.join(", ")
}

/// Whose they were, if that needs saying.
fn owners(of: &[Of]) -> String {
    if of.len() < 2 {
        return String::new();
    }
    let of: Vec<_> = of
        .iter()
        .map(|of| format!("{} of {}", of.leases, of.who))
        .collect();
    format!(" ({})", of.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_what_was_left_alone() {
        let revoked = Revoked {
            leases: 1,
            connections: 2,
            of_unknown_users: 3,
            ..Revoked::default()
        };
        assert_eq!(
            text(&revoked),
            "1 lease revoked, 2 connections ended, 3 leases of unknown users left alone: revoke those by address"
        );
        assert_eq!(text(&Revoked::default()), "no leases revoked");
    }

    #[test]
    fn people_are_told_whose_leases_ended_and_what_stays_open() {
        let of = |who: &str, leases| Of {
            who: who.to_owned(),
            leases,
        };
        let mut revoked = Revoked {
            leases: 3,
            of: vec![of("alice", 2), of("operator (uid 0)", 1)],
            kept_open: 1,
            ..Revoked::default()
        };
        assert_eq!(
            text(&revoked),
            "3 leases revoked (2 of alice, 1 of operator (uid 0)), 1 port stays open by leases of others"
        );
        revoked.of.truncate(1);
        revoked.kept_open = 0;
        assert_eq!(text(&revoked), "3 leases revoked");
    }
}
