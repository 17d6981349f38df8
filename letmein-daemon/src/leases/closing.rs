//! Ending grants, and with the last of them the lease.

use super::{Grant, LeaseError, Leases, Opener, SHORTEST, after, holder, keys};
use crate::{
    clock,
    config::{Resource, User},
    firewall::LeaseKey,
};
use std::{collections::BTreeMap, net::IpAddr};
use tracing::{info, warn};

/// What a revocation has ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// The grants among those asked for that there were.
    pub grants: Vec<Grant>,
    /// Connections that ended with their leases.
    pub connections: usize,
    /// Leases that live on by grants of others.
    pub kept: Vec<LeaseKey>,
}

impl Leases {
    /// Ends the user's grants of all ports of the resource for `address`. That there was none is no error.
    pub fn close(&mut self, user: &User, resource: &Resource, address: IpAddr) -> Result<(), LeaseError> {
        let opener = Opener::User(user.id);
        let grants = keys(resource, address)
            .into_iter()
            .map(|key| Grant { key, opener });
        let ended = self.revoke(&grants.collect::<Vec<_>>())?;
        let holder = holder(resource, address);
        self.recent
            .note(&user.name, "closed", &resource.name, holder.clone());
        let what = match ended.grants.len() {
            0 => "revoked, though it was not open,",
            _ => "closed",
        };
        let kept = match ended.kept.len() {
            0 => "",
            _ => "; others keep it open",
        };
        info!(
            event = "closed",
            user = user.name,
            resource = resource.name,
            ports = resource.port_list(),
            address = holder,
            leases = ended.grants.len(),
            kept = ended.kept.len(),
            "{} {what} {} ({}) for {holder}{kept}",
            user.name,
            resource.name,
            resource.port_list(),
        );
        if resource.cut && (ended.kept.is_empty() || ended.connections > 0) {
            info!(
                event = "connections-ended",
                connections = ended.connections,
                resource = resource.name,
                address = holder,
                "ended {} connections to {} from {holder}",
                ended.connections,
                resource.name
            );
        }
        Ok(())
    }

    /// Ends these grants. A lease without any other is closed, and its connections end if it cuts; the others end with
    /// the longest grant that is left.
    pub fn revoke(&mut self, grants: &[Grant]) -> Result<Ended, LeaseError> {
        let mut by_key: BTreeMap<LeaseKey, Vec<Opener>> = BTreeMap::new();
        for grant in grants {
            by_key.entry(grant.key).or_default().push(grant.opener);
        }
        let is_shared = |(key, openers): &(&LeaseKey, &Vec<Opener>)| {
            let mut all = self.grants.of(key);
            all.any(|(opener, _)| !openers.contains(&opener))
        };
        let shared: Vec<_> = by_key.iter().filter(is_shared).map(|(key, _)| *key).collect();
        self.forget_deleted(shared)?;
        let now = clock::monotonic();
        let (mut over, mut shorter) = (Vec::new(), Vec::new());
        for (key, openers) in &by_key {
            let rest = self.grants.lease_with(key, openers, None, now);
            match rest.filter(|rest| rest.remaining >= SHORTEST) {
                Some(rest) => shorter.push(rest),
                None => over.push(*key),
            }
        }
        let kept = shorter.iter().map(|lease| lease.key).collect();
        shorter.retain(|lease| {
            let openers = by_key.get(&lease.key).into_iter().flatten();
            let mut grants = openers.map(|opener| Grant {
                key: lease.key,
                opener: *opener,
            });
            grants.any(|grant| self.grants.contains(&grant))
        });
        // What closes is closed in the shield first.
        self.shut_out(&over);
        for lease in &shorter {
            self.admit_until(&lease.key, after(now, lease.remaining));
        }
        let closed = self.firewall.close(&over)?;
        self.put(&shorter)?;

        let mut ended: Vec<_> = grants.to_vec();
        ended.retain(|grant| self.grants.remove(grant));
        for key in &over {
            // What has less than the shortest lifetime left.
            self.grants.remove_all(key);
            self.cuts.remove(key);
        }
        for lease in shorter.iter().filter(|lease| self.firewall.cuts(&lease.key)) {
            self.cuts.set(lease.key, after(now, lease.remaining));
        }
        if ended.is_empty() && closed > 0 {
            warn!("closed {closed} leases that were in nftables, and that nobody knew of");
        }
        let connections = self.cut(&over)?;
        Ok(Ended {
            grants: ended,
            connections,
            kept,
        })
    }

    /// Tells the shield when a lease ends that it may know already. If that fails, the firewall knows.
    pub(super) fn admit_until(&mut self, key: &LeaseKey, end: u64) {
        if let Some(shield) = &mut self.shield
            && let Err(error) = shield.admit(key, end)
        {
            warn!(
                "the shield does not learn when {key} ends: {:#}",
                anyhow::Error::from(error)
            );
        }
    }

    /// Ends the connections of those of these leases that cut. Returns how many that are.
    fn cut(&mut self, keys: &[LeaseKey]) -> Result<usize, LeaseError> {
        let cut: Vec<_> = keys
            .iter()
            .filter(|key| self.firewall.cuts(key))
            .copied()
            .collect();
        if cut.is_empty() {
            return Ok(0);
        }
        let ended = self.firewall.cut(&cut).inspect_err(|_| {
            // To be tried again soon.
            let now = clock::monotonic();
            for key in &cut {
                self.cuts.set(*key, now);
            }
        })?;
        Ok(ended)
    }
}
