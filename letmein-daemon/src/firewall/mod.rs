//! The firewall: nftables sets whose elements are leases, and the rules that look them up.
//!
//! Opening a port is adding one set element with a timeout, closing it is the kernel's own clock. The rules
//! are written once, by `nft`, in one transaction; elements go over netlink, in microseconds. The kernel's
//! sets are the only record of what is open, so a daemon that dies, restarts or is upgraded forgets nothing.

mod conntrack;
mod cut;
mod elements;
mod error;
mod expression;
mod layout;
mod lease;
mod lease_set;
mod listing;
mod message;
mod netlink;
mod nft;
mod plan;
mod ports;
mod ruleset;

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use tracing::{info, warn};

pub use self::error::FirewallError;
pub use self::lease::{Lease, LeaseKey, Protocol, Target};
pub use self::plan::{
    Closed, DEFAULT_CAPACITY, FirewallPlan, GUARD_TABLE, Hook, Jump, JumpTo, Mode, Protected,
};
pub use self::ports::PortRange;

use self::elements::{ElementKey, read_elements, write_element, write_set};
use self::layout::Layout;
use self::lease_set::LeaseSet;
use self::listing::Stale;
use self::message::Request;
use self::netlink::{Refusal, Transport};

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
    layout: Layout,
    capacity: u32,
}

impl Firewall {
    /// Installs the rules, or renews them if an earlier run left them; leases that live go on living.
    ///
    /// One transaction: at no moment is a protected port open to all.
    pub fn install(plan: &FirewallPlan) -> Result<Self, FirewallError> {
        plan.check()?;
        let layout = plan.layout();
        let chains = plan.chains();
        let cut = layout.cuts().then(|| layout.name(plan::CUT_CHAIN));
        let names: Vec<_> = chains
            .iter()
            .map(|(_, chain)| *chain)
            .chain(cut.as_deref())
            .collect();
        let stale = match &plan.mode {
            Mode::Guard { .. } => match nft::list(GUARD_TABLE)? {
                Some(listing) => {
                    listing.check_guard(&layout)?;
                    listing.stale(&layout, &names)
                }
                None => Stale::default(),
            },
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
                listing.check_user(&layout, &chains)?;
                for jump in &plan.jumps {
                    for to in &jump.to {
                        listing.check_jump(table, &chains, jump.resource, &to.chain)?;
                    }
                }
                for (_, chain) in chains.iter().filter(|(_, chain)| !listing.is_jumped_to(chain)) {
                    warn!(
                        "no rule in table `inet {table}` jumps to `{chain}`: knocks will open nothing there"
                    );
                }
                listing.stale(&layout, &names)
            }
        };
        nft::apply(ruleset::install(plan, &layout, &stale), "installing the rules")?;

        let transport =
            Transport::open().map_err(|errno| netlink_error(errno, "opening a netlink socket"))?;
        let mut firewall = Self {
            transport,
            layout,
            capacity: plan.capacity,
        };
        firewall.close_strays()?;
        firewall.check_cut()?;
        let kept = firewall.leases()?.len();
        info!(table = firewall.layout.table, kept, "firewall installed");
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
            layout,
            capacity,
        } = self;
        for _ in 0..ATTEMPTS {
            // Kernels before 6.12 keep the old clock of an element that is added again, and a deletion fails
            // if the element is not there. So: add, in case it is not there, delete, add with the new clock.
            let outcome = transport.transact(|transaction| {
                for key in keys {
                    let set = layout.set_of(key);
                    let name = layout.name(set);
                    let element = ElementKey::of(set, key);
                    for (request, timeout) in [
                        (Request::New, Some(millis)),
                        (Request::Delete, None),
                        (Request::New, Some(millis)),
                    ] {
                        transaction.push(request, |outbox| {
                            write_element(outbox, &layout.table, &name, &element, timeout);
                        });
                    }
                }
            });
            match outcome {
                Ok(()) => {
                    if let Err(error) = self.revive(keys) {
                        warn!("a UDP flow that was cut may stay so for a while: {error}");
                    }
                    return Ok(());
                }
                // It was there when it was added and had run out when it was deleted (kernels before 6.9).
                Err(Refusal {
                    errno: Errno::ENOENT,
                    message: Some(index),
                }) if index % 3 == 1 => {}
                Err(Refusal {
                    errno: Errno::ENOENT, ..
                }) => {
                    return Err(FirewallError::NotInstalled {
                        table: layout.table.clone(),
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
            closed += usize::from(self.close_in(self.layout.set_of(key), key)?);
        }
        Ok(closed)
    }

    /// Takes a lease out of a set. Returns whether it was there.
    fn close_in(&mut self, set: LeaseSet, key: &LeaseKey) -> Result<bool, FirewallError> {
        let (table, name) = (&self.layout.table, self.layout.name(set));
        let element = ElementKey::of(set, key);
        // One transaction each: an absent element makes its whole transaction fail.
        let outcome = self.transport.transact(|transaction| {
            transaction.push(Request::Delete, |outbox| {
                write_element(outbox, table, &name, &element, None);
            });
        });
        match outcome {
            Ok(()) => Ok(true),
            Err(Refusal {
                errno: Errno::ENOENT, ..
            }) => Ok(false),
            Err(Refusal { errno, .. }) => Err(netlink_error(errno, "closing a lease")),
        }
    }

    /// Closes leases for ports that are leased in another way than when these were opened: by another prefix, or as
    /// part of a range. A lease opens what was asked for, and never turns into one for something else.
    fn close_strays(&mut self) -> Result<(), FirewallError> {
        let sets: Vec<_> = self.layout.sets().collect();
        for set in sets {
            let leases = self.dump(set)?;
            for lease in leases {
                if self.layout.set_of(&lease.key) != set {
                    self.close_in(set, &lease.key)?;
                    info!(
                        "closed the lease of {}: its port is leased in another way now",
                        lease.key
                    );
                }
            }
        }
        Ok(())
    }

    /// Whether what this lease opens is in the plan that was installed.
    #[must_use]
    pub fn plans(&self, key: &LeaseKey) -> bool {
        self.layout.plans(key)
    }

    /// All leases that live, as the kernel has them.
    pub fn leases(&mut self) -> Result<Vec<Lease>, FirewallError> {
        let sets: Vec<_> = self.layout.sets().collect();
        let mut leases = Vec::new();
        for set in sets {
            leases.append(&mut self.dump(set)?);
        }
        Ok(leases)
    }

    fn dump(&mut self, set: LeaseSet) -> Result<Vec<Lease>, FirewallError> {
        let Self {
            transport, layout, ..
        } = self;
        let (table, name) = (&layout.table, layout.name(set));
        let doing = "reading the leases";
        for _ in 0..ATTEMPTS {
            let mut leases = Vec::new();
            let mut others = 0_usize;
            let outcome = transport.dump(
                Request::Get,
                |outbox| write_set(outbox, table, &name),
                |answer| {
                    read_elements(set, answer, |lease| match lease {
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
                        warn!("{others} elements of set `{name}` in table `inet {table}` are no leases");
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
        let layout = plan.layout();
        let guard = match nft::list(GUARD_TABLE)? {
            None => false,
            Some(guard) => match &plan.mode {
                Mode::Guard { .. } => guard.check_guard(&layout).map(|()| true)?,
                Mode::Chain { .. } => guard.marked_rules().next().is_some(),
            },
        };
        let user = match &plan.mode {
            Mode::Guard { .. } => None,
            Mode::Chain { table, .. } => nft::list(table)?,
        };
        let ours = user.map_or_else(Stale::default, |user| user.all_ours(&layout));
        let found = guard || ours != Stale::default();
        if found {
            nft::apply(ruleset::remove(guard, &layout.table, &ours), "removing the rules")?;
        }
        Ok(found)
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
