//! Leases: what a proven knock gets, within the configuration's limits.

mod allowed;
mod by_hand;
mod closing;
mod cuts;
mod ends;
mod error;
mod grants;
mod opener;
mod others;
mod recent;
mod shares;
mod shortening;
mod takeover;

use crate::{
    clock,
    config::{Resource, User},
    firewall::{Firewall, FirewallError, Lease, LeaseKey},
    xdp::{Shield, XdpError},
};
pub use by_hand::{Living, operator_name};
pub use closing::Ended;
use cuts::Cuts;
pub use cuts::serve as serve_cuts;
pub use error::LeaseError;
pub use grants::Grant;
use grants::Grants;
use jiff::{SignedDuration, Timestamp};
pub use opener::Opener;
pub use recent::Event;
use recent::Recent;
use shares::Refusal;
use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, SystemTime},
};
pub use takeover::Settlement;
use tracing::{error, info, warn};

/// The kernel tells what is left of a lease in whole milliseconds, rounded down.
const ROUNDING: Duration = Duration::from_millis(1);
/// What is left of a lease is not put into the kernel if it is less than this, which is the shortest that it takes.
const SHORTEST: Duration = Duration::from_millis(100);
/// How many ended leases are forgotten at a time: it takes less than a millisecond.
const SWEEP: usize = 1024;

/// The kernel begins to collect what has run out after a second, and needs a tenth of a second for a million.
const COLLECTION: Duration = Duration::from_millis(1200);

/// The refusal of a user whose time is over.
fn over(user: &User) -> LeaseError {
    let until = user.until.and_then(|until| Timestamp::try_from(until).ok());
    LeaseError::Over {
        until: until.unwrap_or_default(),
    }
}

/// Opens and closes leases. The kernel's sets are the record; the shield has a copy for the XDP program, and the
/// mirror here counts, and knows what has to be put back when somebody has flushed the ruleset
/// ([`healing`](crate::healing)).
///
/// What opens is in the sets first and in the shield second, what closes the other way around: the shield lets in
/// nobody whom the firewall would not.
pub struct Leases {
    firewall: Firewall,
    shield: Option<Shield>,
    grants: Grants,
    cuts: Cuts,
    recent: Recent,
    /// The rules could not be put back: nobody tries that again for a knock.
    broken: bool,
    /// Until then nothing is opened, so that the kernel can collect what has run out. It starts over with each
    /// transaction.
    collected_at: u64,
}

impl Leases {
    /// The most leases that there may be at one time: after a change of the configuration there may be more than it
    /// allows.
    #[must_use]
    pub fn most(&self) -> u32 {
        u32::try_from(self.count()).unwrap_or(u32::MAX).max(self.limit())
    }

    /// Tells the shield of every lease, now and from now on.
    pub fn stand_behind(&mut self, mut shield: Shield) -> Result<(), XdpError> {
        for (key, end) in self.grants.leases() {
            shield.admit(&key, end)?;
        }
        self.shield = Some(shield);
        Ok(())
    }

    /// Opens all ports of the resource for `address` and this long, or gives the user's grants that long again. Grants of
    /// others stay as they are.
    pub fn open(
        &mut self,
        user: &User,
        resource: &Resource,
        address: IpAddr,
        lease: Duration,
    ) -> Result<(), LeaseError> {
        let lease = user.lease(lease, SystemTime::now()).ok_or_else(|| over(user))?;
        self.open_for(Opener::User(user.id), &user.name, resource, address, lease)
    }

    fn open_for(
        &mut self,
        opener: Opener,
        name: &str,
        resource: &Resource,
        address: IpAddr,
        lease: Duration,
    ) -> Result<(), LeaseError> {
        if clock::monotonic() < self.collected_at {
            return Err(LeaseError::Collecting);
        }
        let keys = keys(resource, address);
        let mut shared = keys.clone();
        shared.retain(|key| self.grants.of(key).any(|(other, _)| other != opener));
        self.forget_deleted(shared)?;
        self.make_room(&keys, opener, name)?;
        let now = clock::monotonic();
        let own = Some((opener, after(now, lease)));
        let with_own = |key: &LeaseKey| self.grants.lease_with(key, &[opener], own, now);
        let leases: Vec<_> = keys.iter().filter_map(with_own).collect();
        self.put(&leases)?;
        // Not before the firewall has begun to count: the shield may close a little later, but never sooner.
        let end = after(clock::monotonic(), lease);
        for key in &keys {
            self.grants.set(Grant { key: *key, opener }, end);
        }
        self.admit(&keys, opener)?;
        for key in keys.iter().filter(|key| self.firewall.cuts(key)) {
            self.cuts.set(*key, self.grants.end(key).unwrap_or(end));
        }
        let holder = holder(resource, address);
        self.recent.note(name, "opened", &resource.name, holder.clone());
        let (user, operator) = match opener {
            Opener::Operator(operator) => (None, Some(operator)),
            Opener::User(_) | Opener::Unknown => (Some(name), None),
        };
        info!(
            event = "opened",
            user,
            operator,
            resource = resource.name,
            ports = resource.port_list(),
            address = holder,
            lease_seconds = lease.as_secs(),
            "{name} opened {} ({}) for {} until {} ({})",
            resource.name,
            resource.port_list(),
            holder,
            until(lease),
            human(lease),
        );
        Ok(())
    }

    /// Ends the connections of those that have ended by now, unless the kernel knows better.
    fn cut_ended(&mut self) {
        /// When to try again after an error.
        const AGAIN: Duration = Duration::from_secs(10);
        let now = clock::monotonic();
        let mut ended = self.cuts.take_ended(now);
        let outcome = self.firewall.look_up(&ended).and_then(|living| {
            let living: HashMap<_, _> = living.iter().map(|lease| (lease.key, lease.remaining)).collect();
            ended.retain(|key| {
                let remaining = living.get(key);
                if let Some(remaining) = remaining {
                    self.cuts.set(*key, after(now, *remaining));
                }
                remaining.is_none()
            });
            self.firewall.cut(&ended)
        });
        match outcome {
            Ok(0) => {}
            Ok(cut) => info!(
                event = "connections-ended",
                connections = cut,
                "ended {cut} connections whose leases have run out"
            ),
            Err(error) => {
                error!(
                    "connections whose leases have run out live on: {:#}",
                    anyhow::Error::from(error)
                );
                for key in ended {
                    self.cuts.set(key, after(now, AGAIN));
                }
            }
        }
    }

    /// Writes these leases into the firewall, as they are now.
    fn put(&mut self, leases: &[Lease]) -> Result<(), LeaseError> {
        let mut opened = self.firewall.put(leases);
        // Somebody has just flushed the ruleset, and nobody has come to put it back.
        if matches!(opened, Err(FirewallError::NotInstalled { .. })) && !self.broken {
            self.repair()?;
            opened = self.firewall.put(leases);
        }
        // The sets hold twice as many as may live, so the rest has run out.
        if matches!(opened, Err(FirewallError::Full { .. })) {
            let keys: Vec<_> = leases.iter().map(|lease| lease.key).collect();
            let grants = &self.grants;
            let living = || others::living(grants, &others::all(grants));
            if !self.firewall.make_room(&keys, living)? {
                self.collected_at = after(clock::monotonic(), COLLECTION);
                return Err(LeaseError::Collecting);
            }
            opened = self.firewall.put(leases);
        }
        Ok(opened?)
    }

    /// Forgets leases that have ended, but not so many that anybody would have to wait.
    pub fn sweep(&mut self) {
        for _ in 0..SWEEP {
            if !self.forget_one() {
                break;
            }
        }
    }

    /// Forgets as many ended grants as it takes for these to be no more than there may be.
    fn make_room(&mut self, keys: &[LeaseKey], opener: Opener, name: &str) -> Result<(), LeaseError> {
        loop {
            let new = keys.iter().map(|key| Grant { key: *key, opener });
            let more = new.filter(|grant| !self.grants.contains(grant)).count();
            let Err(refusal) = self.grants.shares().admit(opener, more) else {
                return Ok(());
            };
            if self.forget_one() {
                continue;
            }
            let limit = self.limit();
            return Err(match refusal {
                Refusal::Full => LeaseError::TooMany { limit },
                Refusal::Greedy { held } => LeaseError::Share {
                    user: name.to_owned(),
                    held,
                    limit,
                },
            });
        }
    }

    fn forget_one(&mut self) -> bool {
        let ended = self.grants.pop_ended(clock::monotonic());
        if let Some(grant) = ended
            && self.grants.end(&grant.key).is_none()
        {
            self.shut_out(&[grant.key]);
        }
        ended.is_some()
    }

    /// Has the shield let the keys in, or takes back what this opener has just been granted.
    fn admit(&mut self, keys: &[LeaseKey], opener: Opener) -> Result<(), LeaseError> {
        let Self { shield, grants, .. } = self;
        let Some(shield) = shield else {
            return Ok(());
        };
        let mut ends = keys.iter().filter_map(|key| Some((key, grants.end(key)?)));
        let Err(failed) = ends.try_for_each(|(key, end)| shield.admit(key, end)) else {
            return Ok(());
        };
        let grants = keys.iter().map(|key| Grant { key: *key, opener });
        if let Err(error) = self.revoke(&grants.collect::<Vec<_>>()) {
            error!(
                "a lease that the shield knows nothing of runs on in the firewall: {:#}",
                anyhow::Error::from(error)
            );
        }
        Err(LeaseError::Shield(failed))
    }

    /// Tells the shield that these leases are over. If that fails they still are, as the firewall has it.
    fn shut_out(&mut self, keys: &[LeaseKey]) {
        let Some(shield) = &mut self.shield else {
            return;
        };
        for key in keys {
            if let Err(error) = shield.shut_out(key) {
                warn!(
                    "the shield goes on letting {key} through to the firewall: {:#}",
                    anyhow::Error::from(error)
                );
            }
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

/// This long after `now`, in nanoseconds.
fn after(now: u64, duration: Duration) -> u64 {
    now.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
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
