//! The firewall: nftables sets whose elements are leases, and the rules that look them up.
//!
//! Opening a port is adding one set element with a timeout, closing it is the kernel's own clock. The rules
//! are written once, by `nft`, in one transaction; elements go over netlink, in microseconds. The kernel's
//! sets are the only record of what is open, so a daemon that dies, restarts or is upgraded forgets nothing.

mod elements;
mod error;
mod expression;
mod lease;
mod listing;
mod message;
mod netlink;
mod nft;
mod plan;
mod ruleset;

use std::collections::HashSet;
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use nftables::batch::Batch;
use nix::errno::Errno;
use tracing::{info, warn};

pub use self::error::FirewallError;
pub use self::lease::{Lease, LeaseKey, Protocol};
pub use self::plan::{Closed, DEFAULT_CAPACITY, FirewallPlan, GUARD_TABLE, Mode};

use self::elements::{ElementKey, read_elements, write_element, write_set};
use self::message::Request;
use self::netlink::{Refusal, Transport};
use self::plan::SetNames;

/// The shortest lease. The kernel counts in jiffies of up to 10 ms, and takes a timeout below one for
/// "never".
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest lease: ten years.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);
/// The kernel's hash table has grown by then.
const GROWTH: Duration = Duration::from_millis(20);
/// How often to start over when the kernel's state moved while it was being changed or read.
const ATTEMPTS: usize = 5;

/// The installed firewall, and the way to its leases.
///
/// Dropping it changes nothing: protected ports stay closed, leases run on.
pub struct Firewall {
    transport: Transport,
    sets: SetNames,
    capacity: u32,
}

impl Firewall {
    /// Installs the rules, or renews them if an earlier run left them; leases that live go on living.
    ///
    /// One transaction: at no moment is a protected port open to all.
    pub fn install(plan: &FirewallPlan) -> Result<Self, FirewallError> {
        plan.check()?;
        let sets = plan.sets();
        match &plan.mode {
            Mode::Guard { .. } => {
                if let Some(listing) = nft::list(GUARD_TABLE)? {
                    listing.check_guard(&sets)?;
                }
            }
            Mode::Chain { table, chain } => {
                if let Some(guard) = nft::list(GUARD_TABLE)?
                    && guard.marked_rules().next().is_some()
                {
                    return Err(FirewallError::GuardLeft);
                }
                let Some(listing) = nft::list(table)? else {
                    return Err(FirewallError::NoTable {
                        table: table.clone(),
                        chain: chain.clone(),
                    });
                };
                listing.check_chain(&sets, chain)?;
                if !listing.is_jumped_to(chain) {
                    warn!("no rule in table `inet {table}` jumps to `{chain}`: knocks will open nothing");
                }
            }
        }
        nft::apply(ruleset::install(plan), "installing the rules")?;

        let transport =
            Transport::open().map_err(|errno| netlink_error(errno, "opening a netlink socket"))?;
        let mut firewall = Self {
            transport,
            sets,
            capacity: plan.capacity,
        };
        let kept = firewall.leases()?.len();
        info!(table = firewall.sets.table, kept, "firewall installed");
        Ok(firewall)
    }

    /// Opens every key for `lifetime` from now (rounded down to what the kernel counts in), or none of them.
    ///
    /// A lease that lives already gets the new lifetime, be it longer or shorter than what it had left.
    pub fn open(&mut self, keys: &[LeaseKey], lifetime: Duration) -> Result<(), FirewallError> {
        if !(SHORTEST..=LONGEST).contains(&lifetime) {
            return Err(FirewallError::Lifetime { lifetime });
        }
        let millis =
            u64::try_from(lifetime.as_millis()).map_err(|_overflow| FirewallError::Lifetime { lifetime })?;
        let doing = "opening a lease";
        let Self {
            transport,
            sets,
            capacity,
        } = self;
        for _ in 0..ATTEMPTS {
            // Kernels before 6.12 keep the old clock of an element that is added again, and a deletion fails
            // if the element is not there. So: add, in case it is not there, delete, add with the new clock.
            let outcome = transport.transact(|transaction| {
                for key in keys {
                    let set = sets.of(key.address);
                    let element = ElementKey::of(key);
                    for (request, timeout) in [
                        (Request::New, Some(millis)),
                        (Request::Delete, None),
                        (Request::New, Some(millis)),
                    ] {
                        transaction.push(request, |outbox| {
                            write_element(outbox, &sets.table, set, &element, timeout);
                        });
                    }
                }
            });
            match outcome {
                Ok(()) => return Ok(()),
                // It was there when it was added and had run out when it was deleted (kernels before 6.9).
                Err(Refusal {
                    errno: Errno::ENOENT,
                    message: Some(index),
                }) if index % 3 == 1 => {}
                Err(Refusal {
                    errno: Errno::ENOENT, ..
                }) => {
                    return Err(FirewallError::NotInstalled {
                        table: sets.table.clone(),
                    });
                }
                Err(Refusal {
                    errno: Errno::ENFILE, ..
                }) => {
                    return Err(FirewallError::Full { capacity: *capacity });
                }
                Err(Refusal { errno, .. }) => return Err(netlink_error(errno, doing)),
            }
        }
        Err(FirewallError::Netlink {
            doing,
            errno: Errno::ENOENT,
        })
    }

    /// Closes the keys and returns how many of them were open. One that is not open is no error.
    ///
    /// Established connections go on: they are conntrack's.
    pub fn close(&mut self, keys: &[LeaseKey]) -> Result<usize, FirewallError> {
        let mut closed = 0;
        for key in keys {
            let set = self.sets.of(key.address);
            let table = &self.sets.table;
            let element = ElementKey::of(key);
            // One transaction each: an absent element makes its whole transaction fail.
            let outcome = self.transport.transact(|transaction| {
                transaction.push(Request::Delete, |outbox| {
                    write_element(outbox, table, set, &element, None);
                });
            });
            match outcome {
                Ok(()) => closed += 1,
                Err(Refusal {
                    errno: Errno::ENOENT, ..
                }) => {}
                Err(Refusal { errno, .. }) => return Err(netlink_error(errno, "closing a lease")),
            }
        }
        Ok(closed)
    }

    /// All leases that live, as the kernel has them.
    pub fn leases(&mut self) -> Result<Vec<Lease>, FirewallError> {
        let mut leases = self.dump(self.sets.leases4)?;
        leases.append(&mut self.dump(self.sets.leases6)?);
        Ok(leases)
    }

    fn dump(&mut self, set: &'static str) -> Result<Vec<Lease>, FirewallError> {
        let Self {
            transport,
            sets: SetNames { table, .. },
            ..
        } = self;
        let doing = "reading the leases";
        for _ in 0..ATTEMPTS {
            let mut leases = Vec::new();
            let mut others = 0_usize;
            let outcome = transport.dump(
                Request::Get,
                |outbox| write_set(outbox, table, set),
                |answer| {
                    read_elements(answer, |lease| match lease {
                        Some(lease) => leases.push(lease),
                        None => others += 1,
                    });
                },
            );
            match outcome {
                // The kernel lists a set in parts, and counts from its beginning for each. When its hash table grows
                // meanwhile, some elements come twice, and as many are left out.
                Ok(()) if any_twice(&leases) => thread::sleep(GROWTH),
                Ok(()) => {
                    if others > 0 {
                        warn!("{others} elements of set `{set}` in table `inet {table}` are no leases");
                    }
                    return Ok(leases);
                }
                // The ruleset changed in the middle of it.
                Err(Errno::EINTR) => {}
                Err(Errno::ENOENT) => return Err(FirewallError::NotInstalled { table: table.clone() }),
                Err(errno) => return Err(netlink_error(errno, doing)),
            }
        }
        Err(FirewallError::Netlink {
            doing,
            errno: Errno::EINTR,
        })
    }

    /// Takes everything of ours out of the kernel: the guard table, and in chain mode our rules and sets. All
    /// leases end. Returns whether there was anything.
    ///
    /// In guard mode this leaves the protected ports to whatever other firewall the machine has.
    pub fn remove(plan: &FirewallPlan) -> Result<bool, FirewallError> {
        plan.check()?;
        let sets = plan.sets();
        let mut batch = Batch::new();
        let mut found = false;
        if let Some(guard) = nft::list(GUARD_TABLE)? {
            let ours = match &plan.mode {
                Mode::Guard { .. } => guard.check_guard(&sets).map(|()| true)?,
                Mode::Chain { .. } => guard.marked_rules().next().is_some(),
            };
            if ours {
                ruleset::remove_guard(&mut batch);
                found = true;
            }
        }
        if let Mode::Chain { table, .. } = &plan.mode
            && let Some(listing) = nft::list(table)?
        {
            for (chain, handle) in listing.marked_rules() {
                ruleset::remove_rule(&mut batch, table, chain, handle);
                found = true;
            }
            for set in [sets.leases4, sets.leases6] {
                if listing.has_set(set) {
                    ruleset::remove_set(&mut batch, table, set);
                    found = true;
                }
            }
        }
        if found {
            nft::apply(batch, "removing the rules")?;
        }
        Ok(found)
    }
}

impl SetNames {
    fn of(&self, address: IpAddr) -> &'static str {
        if address.to_canonical().is_ipv4() {
            self.leases4
        } else {
            self.leases6
        }
    }
}

fn any_twice(leases: &[Lease]) -> bool {
    let distinct: HashSet<_> = leases.iter().map(|lease| &lease.key).collect();
    distinct.len() < leases.len()
}

fn netlink_error(errno: Errno, doing: &'static str) -> FirewallError {
    match errno {
        Errno::EPERM => FirewallError::NoPrivilege,
        errno => FirewallError::Netlink { doing, errno },
    }
}
