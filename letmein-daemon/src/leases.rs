//! Leases: what a proven knock gets, within the configuration's limits.

use crate::{
    config::{Config, Resource, User},
    firewall::{Changes, Firewall, FirewallError, LeaseKey, Protocol},
    mirror::Mirror,
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::HashSet,
    net::IpAddr,
    thread::sleep,
    time::{Duration, Instant},
};
use thiserror::Error;
use tracing::info;

/// The kernel begins to collect what has run out after a second, and needs a tenth of a second for a million.
const COLLECTION: Duration = Duration::from_millis(1200);
/// How many of them a knock waits for, when others change nftables, too.
const COLLECTIONS: u32 = 3;

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

/// Opens and closes leases. The kernel's sets are the record; the mirror here counts them, and knows what has to be put
/// back when somebody has flushed the ruleset ([`healing`](crate::healing)).
pub struct Leases {
    firewall: Firewall,
    limit: u32,
    ports: HashSet<(Protocol, u16)>,
    mirror: Mirror,
    /// Which sets were made anew and do not have all their leases again: IPv4, IPv6.
    lost: [bool; 2],
    /// The rules could not be put back: nobody tries that again for a knock.
    broken: bool,
}

impl Leases {
    /// Takes over the leases of an earlier run; those for ports that no resource has any more are closed.
    ///
    /// `remembered` are all that there may be, if that is known.
    pub fn take_over(
        firewall: Firewall,
        config: &Config,
        remembered: Option<Vec<LeaseKey>>,
    ) -> Result<Self, LeaseError> {
        let mut leases = Self {
            firewall,
            limit: config.firewall.max_leases,
            ports: config.protected_ports().into_iter().collect(),
            mirror: Mirror::new(),
            lost: [false; 2],
            broken: false,
        };
        let mut orphans = Vec::new();
        let living = match remembered {
            Some(keys) => leases.firewall.look_up(&keys)?,
            None => leases.firewall.leases()?,
        };
        let now = Instant::now();
        for lease in living {
            if leases.is_for_a_resource(&lease.key) {
                leases.mirror.insert(lease.key, now, lease.remaining);
            } else {
                orphans.push(lease.key);
            }
        }
        if !orphans.is_empty() {
            leases.firewall.close(&orphans)?;
            info!(
                "closed {} leases of resources that are no longer configured",
                orphans.len()
            );
        }
        if leases.mirror.len() > 0 {
            info!("{} leases of an earlier run go on", leases.mirror.len());
        }
        Ok(leases)
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
        let mut opened = self.firewall.open(&keys, lease);
        // Somebody has just flushed the ruleset, and nobody has come to put it back.
        if matches!(opened, Err(FirewallError::NotInstalled { .. })) && !self.broken {
            self.repair()?;
            opened = self.firewall.open(&keys, lease);
        }
        for _ in 0..COLLECTIONS {
            if !matches!(opened, Err(FirewallError::Full { .. })) {
                break;
            }
            // The set holds twice as many as may live, so the rest has run out. The kernel would collect it if we
            // let it: each transaction makes it start over.
            sleep(COLLECTION);
            opened = self.firewall.open(&keys, lease);
        }
        opened?;
        let now = Instant::now();
        for key in &keys {
            self.mirror.insert(*key, now, lease);
        }
        info!(
            "{} opened {} ({}) for {address} until {} ({})",
            user.name,
            resource.name,
            resource.port_list(),
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
            self.mirror.remove(key);
        }
        let what = if closed == 0 {
            "revoked, though it was not open,"
        } else {
            "closed"
        };
        info!(
            "{} {what} {} ({}) for {address}",
            user.name,
            resource.name,
            resource.port_list()
        );
        Ok(())
    }

    fn check_limit(&mut self, keys: &[LeaseKey]) -> Result<(), LeaseError> {
        self.mirror.expire(Instant::now());
        let added = keys.iter().filter(|key| !self.mirror.contains(key)).count();
        if self.mirror.len() + added > self.limit as usize {
            Err(LeaseError::TooMany { limit: self.limit })
        } else {
            Ok(())
        }
    }

    fn is_for_a_resource(&self, key: &LeaseKey) -> bool {
        self.ports.contains(&(key.protocol, key.port))
    }
}

/// What somebody else did to rules and leases.
impl Leases {
    /// Takes note of leases that somebody else has added or deleted. Returns how many were deleted.
    pub fn note(&mut self, changes: &Changes) -> usize {
        let now = Instant::now();
        for lease in &changes.added {
            if self.is_for_a_resource(&lease.key) {
                self.mirror.insert(lease.key, now, lease.remaining);
            }
        }
        let removed = changes.removed.iter();
        removed.filter(|key| self.mirror.remove(key)).count()
    }

    /// Whether the rules are as they should be, and no set lacks leases.
    pub fn are_intact(&mut self) -> Result<bool, LeaseError> {
        Ok(self.lost == [false; 2] && self.firewall.is_intact()?)
    }

    /// Puts the rules back.
    pub fn repair(&mut self) -> Result<(), LeaseError> {
        self.broken = true;
        let lost = self.firewall.repair()?;
        self.broken = false;
        for (set, lost) in self.lost.iter_mut().zip(lost) {
            *set |= lost;
        }
        Ok(())
    }

    /// The leases of the sets that were made anew.
    pub fn lost(&mut self) -> Vec<LeaseKey> {
        self.mirror.expire(Instant::now());
        let lost = self.lost;
        self.mirror.keys().filter(|key| lost[set_of(key)]).collect()
    }

    /// Puts these leases back, unless they have ended or were revoked meanwhile. Returns how many that are.
    pub fn restore(&mut self, keys: &[LeaseKey]) -> Result<usize, LeaseError> {
        let now = Instant::now();
        let leases: Vec<_> = keys
            .iter()
            .filter_map(|key| self.mirror.lease(*key, now))
            .collect();
        Ok(self.firewall.restore(&leases)?)
    }

    /// All that was lost is back.
    pub const fn all_restored(&mut self) {
        self.lost = [false; 2];
    }

    /// All leases.
    pub fn keys(&mut self) -> Vec<LeaseKey> {
        self.mirror.expire(Instant::now());
        self.mirror.keys().collect()
    }

    /// Forgets those of these leases that are not in the kernel. Returns how many that are.
    pub fn forget_missing(&mut self, keys: &[LeaseKey]) -> Result<usize, LeaseError> {
        let living: HashSet<_> = self
            .firewall
            .look_up(keys)?
            .iter()
            .map(|lease| lease.key)
            .collect();
        self.mirror.expire(Instant::now());
        let missing = keys
            .iter()
            .filter(|key| !living.contains(key) && !self.lost[set_of(key)]);
        Ok(missing.filter(|key| self.mirror.remove(key)).count())
    }
}

/// Which of the two sets a lease is in.
fn set_of(key: &LeaseKey) -> usize {
    usize::from(!key.address.is_ipv4())
}

fn keys(resource: &Resource, address: IpAddr) -> Vec<LeaseKey> {
    resource
        .ports
        .iter()
        .map(|port| LeaseKey::new(address, port.protocol, port.port))
        .collect()
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
