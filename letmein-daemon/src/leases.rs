//! Leases: what a proven knock gets, within the configuration's limits.

use crate::{
    config::{Config, Resource, User},
    cuts::Cuts,
    firewall::{Firewall, FirewallError, LeaseKey},
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};
use thiserror::Error;
use tracing::{error, info};

/// Why a genuine knock opens nothing.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// `firewall.max-leases` is reached.
    #[error("{limit} leases live already, which is firewall.max-leases")]
    TooMany {
        /// The limit.
        limit: u32,
    },
    /// The kernel did not do it.
    #[error(transparent)]
    Firewall(#[from] FirewallError),
}

/// Opens and closes leases. The kernel's sets are the record; the mirror here only counts.
pub struct Leases {
    firewall: Firewall,
    limit: u32,
    ends: HashMap<LeaseKey, Instant>,
    cuts: Cuts,
}

impl Leases {
    /// Takes over the leases of an earlier run; those for ports that no resource has any more are closed.
    pub fn take_over(mut firewall: Firewall, config: &Config) -> Result<Self, LeaseError> {
        let now = Instant::now();
        let mut ends = HashMap::new();
        let mut cuts = Cuts::default();
        let mut orphans = Vec::new();
        for lease in firewall.leases()? {
            if firewall.plans(&lease.key) {
                ends.insert(lease.key, now + lease.remaining);
                if firewall.cuts(&lease.key) {
                    cuts.set(lease.key, now + lease.remaining);
                }
            } else {
                orphans.push(lease.key);
            }
        }
        if !orphans.is_empty() {
            firewall.close(&orphans)?;
            info!(
                "closed {} leases of resources that are no longer configured",
                orphans.len()
            );
        }
        Ok(Self {
            firewall,
            limit: config.firewall.max_leases,
            ends,
            cuts,
        })
    }

    /// Opens all ports of the resource for `address` and this long, or gives them that long again.
    pub fn open(
        &mut self,
        user: &User,
        resource: &Resource,
        address: IpAddr,
        lease: Duration,
    ) -> Result<(), LeaseError> {
        let keys = keys(resource, address);
        self.check_limit(&keys)?;
        self.firewall.open(&keys, lease)?;
        let end = Instant::now() + lease;
        self.ends.extend(keys.iter().map(|key| (*key, end)));
        for key in keys.iter().filter(|key| self.firewall.cuts(key)) {
            self.cuts.set(*key, end);
        }
        info!(
            "{} opened {} ({}) for {} until {} ({})",
            user.name,
            resource.name,
            resource.port_list(),
            holder(resource, address),
            until(lease),
            human(lease),
        );
        Ok(())
    }

    /// Closes all ports of the resource for `address`. That none was open is no error.
    pub fn close(&mut self, user: &User, resource: &Resource, address: IpAddr) -> Result<(), LeaseError> {
        let keys = keys(resource, address);
        let closed = self.firewall.close(&keys)?;
        for key in &keys {
            self.ends.remove(key);
            self.cuts.remove(key);
        }
        let what = if closed == 0 {
            "revoked, though it was not open,"
        } else {
            "closed"
        };
        info!(
            "{} {what} {} ({}) for {}",
            user.name,
            resource.name,
            resource.port_list(),
            holder(resource, address)
        );
        if resource.cut {
            let cut = self.firewall.cut(&keys)?;
            info!(
                "ended {cut} connections to {} from {}",
                resource.name,
                holder(resource, address)
            );
        }
        Ok(())
    }

    /// When leases end whose connections end with them.
    #[must_use]
    pub const fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    /// Ends the connections of those that have ended by now, unless the kernel knows better.
    pub fn cut_ended(&mut self) {
        /// When to try again after an error.
        const AGAIN: Duration = Duration::from_secs(10);
        let now = Instant::now();
        let mut ended = self.cuts.take_ended(now);
        let outcome = self.firewall.leases().and_then(|living| {
            let living: HashMap<_, _> = living.iter().map(|lease| (lease.key, lease.remaining)).collect();
            ended.retain(|key| {
                let remaining = living.get(key);
                if let Some(remaining) = remaining {
                    self.cuts.set(*key, now + *remaining);
                }
                remaining.is_none()
            });
            self.firewall.cut(&ended)
        });
        match outcome {
            Ok(0) => {}
            Ok(cut) => info!("ended {cut} connections whose leases have run out"),
            Err(error) => {
                error!(
                    "connections whose leases have run out live on: {:#}",
                    anyhow::Error::from(error)
                );
                for key in ended {
                    self.cuts.set(key, now + AGAIN);
                }
            }
        }
    }

    fn check_limit(&mut self, keys: &[LeaseKey]) -> Result<(), LeaseError> {
        let limit = self.limit as usize;
        let added = keys.iter().filter(|key| !self.ends.contains_key(key)).count();
        if self.ends.len() + added > limit {
            let now = Instant::now();
            self.ends.retain(|_, end| *end > now);
        }
        let added = keys.iter().filter(|key| !self.ends.contains_key(key)).count();
        if self.ends.len() + added > limit {
            Err(LeaseError::TooMany { limit: self.limit })
        } else {
            Ok(())
        }
    }
}

fn keys(resource: &Resource, address: IpAddr) -> Vec<LeaseKey> {
    let ports = resource
        .ports
        .iter()
        .map(|ports| LeaseKey::new(address, ports.protocol, ports.first));
    let jumps = resource.jump.iter().flat_map(|jump| jump.leases(address));
    ports
        .chain(jumps)
        .map(|key| key.in_prefix(resource.ipv6_prefix))
        .collect()
}

/// Who holds a lease of the resource: the address, or its prefix as `2001:db8:1:2::/64`.
fn holder(resource: &Resource, address: IpAddr) -> String {
    match keys(resource, address).first() {
        Some(key) if key.address.is_ipv6() && resource.ipv6_prefix < 128 => {
            format!("{}/{}", key.address, resource.ipv6_prefix)
        }
        _ => address.to_canonical().to_string(),
    }
}

/// The time of day, UTC, at which a lease that starts now ends.
fn until(lease: Duration) -> String {
    let end = Timestamp::now() + lease;
    end.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn human(duration: Duration) -> String {
    SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}"))
}
