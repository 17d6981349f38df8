//! `letmeind revoke`: closes the leases of an address, of a user, or all.

use super::{
    Desk,
    client::{Client, unexpected},
    format::number,
    leases::resource,
    protocol::{Answer, Request, Revoked},
};
use crate::{
    config::Config,
    firewall::{LeaseKey, Target},
    leases::{Living, Opener},
};
use anyhow::bail;
use letmein_common::UserId;
use std::{net::IpAddr, path::Path};
use tracing::info;

/// How many leases are looked at or closed at a time: knocks are served in between.
const SOME: usize = 1024;

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
    let mut last: Option<Living> = None;
    loop {
        let page = desk.state.leases.borrow().page(last.as_ref(), SOME);
        let Some(end_of_page) = page.last() else {
            break;
        };
        last = Some(*end_of_page);
        if matches!(wanted, Whose::User(_)) {
            let unknown = page.iter().filter(|lease| lease.opener == Opener::Unknown);
            revoked.of_unknown_users += unknown.count();
        }
        let keys: Vec<_> = page
            .iter()
            .filter(|lease| wanted.includes(config, lease))
            .map(|lease| lease.key)
            .collect();
        if !keys.is_empty() {
            let (closed, cut) = desk.state.leases.borrow_mut().revoke(&keys)?;
            revoked.leases += closed;
            revoked.connections += cut;
        }
        tokio::task::yield_now().await;
    }
    desk.state.leases.borrow_mut().note_revocation(operator, whose);
    info!(
        event = "revoked",
        operator,
        whose,
        leases = revoked.leases,
        connections = revoked.connections,
        "operator (uid {operator}) revoked {} leases of {whose}; {} connections ended",
        revoked.leases,
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

impl Whose {
    fn includes(&self, config: &Config, lease: &Living) -> bool {
        match self {
            Self::All => true,
            Self::User(user) => lease.opener == Opener::User(*user),
            Self::Address(address) => holds(config, &lease.key, *address),
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
    println!("{}", text(revoked));
    Ok(())
}

fn text(revoked: Revoked) -> String {
    let mut parts = vec![format!("{} revoked", number(revoked.leases, "lease", "leases"))];
    if revoked.connections > 0 {
        let ended = number(revoked.connections, "connection", "connections");
        parts.push(format!("{ended} ended"));
    }
    if revoked.of_unknown_users > 0 {
        let left = number(revoked.of_unknown_users, "lease", "leases");
        parts.push(format!(
            "{left} of unknown users left alone: revoke those by address"
        ));
    }
    parts.join(", ")
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
        };
        assert_eq!(
            text(revoked),
            "1 lease revoked, 2 connections ended, 3 leases of unknown users left alone: revoke those by address"
        );
        assert_eq!(text(Revoked::default()), "no leases revoked");
    }
}
