//! The firewall: nftables sets whose elements are leases, and the rules that look them up.
//!
//! Opening a port is adding one set element with a timeout, closing it is the kernel's own clock. The rules
//! are written once, by `nft`, in one transaction; elements go over netlink, in microseconds. The kernel's
//! sets are the only record of what is open, so a daemon that dies, restarts or is upgraded forgets nothing.

mod elements;
mod error;
mod expression;
pub(crate) mod fuzzing;
mod lease;
mod listing;
mod message;
mod netlink;
mod nft;
mod plan;
mod ruleset;
mod shape;
mod watch;

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use nftables::batch::Batch;
use nix::errno::Errno;
use tracing::{info, warn};

pub use self::error::FirewallError;
pub use self::lease::{Lease, LeaseKey, Protocol};
pub use self::plan::{Closed, DEFAULT_CAPACITY, FirewallPlan, GUARD_TABLE, Mode};
pub use self::watch::{Changes, Watch};

use self::elements::{ElementKey, read_elements, write_element, write_elements, write_set};
use self::message::Request;
use self::netlink::{Refusal, Transport};
use self::plan::{Scope, SetNames};
use self::shape::Shape;

/// The shortest lease. The kernel counts in jiffies of up to 10 ms, and takes a timeout below one for
/// "never".
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest lease: ten years.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);
/// The kernel's hash table has grown by then.
const GROWTH: Duration = Duration::from_millis(20);
/// How often to start over when the kernel's state moved while it was being changed or read.
const ATTEMPTS: usize = 5;
/// Elements in one message.
const TOGETHER: usize = 512;

/// The installed firewall, and the way to its leases.
///
/// Dropping it changes nothing: protected ports stay closed, leases run on.
pub struct Firewall {
    transport: Transport,
    plan: FirewallPlan,
    sets: SetNames,
    scope: Scope,
    /// What was there after the rules were installed.
    installed: Shape,
}

impl Firewall {
    /// Installs the rules, or renews them if an earlier run left them; leases that live go on living.
    ///
    /// One transaction: at no moment is a protected port open to all.
    pub fn install(plan: &FirewallPlan) -> Result<Self, FirewallError> {
        let mut firewall = Self {
            transport: Transport::open().map_err(|errno| netlink_error(errno, "opening a netlink socket"))?,
            sets: plan.sets(),
            scope: plan.scope(),
            plan: plan.clone(),
            installed: Shape::default(),
        };
        firewall.installed = firewall.write_rules()?;
        info!(table = firewall.sets.table, "firewall installed");
        Ok(firewall)
    }

    /// Notifications of what others do to the rules and leases from now on. Needs a runtime.
    pub fn watch(&self) -> Result<Watch, FirewallError> {
        let port = self.transport.port();
        let watch = port
            .map_err(io::Error::from)
            .and_then(|port| Watch::open(self.scope.clone(), port));
        watch.map_err(FirewallError::Watch)
    }

    /// Whether rules and sets are as they were after installing.
    pub fn is_intact(&mut self) -> Result<bool, FirewallError> {
        Ok(self.read_shape()? == self.installed)
    }

    /// Installs the rules again. Returns the lease sets that had to be made anew, IPv4 first: they are empty.
    pub fn repair(&mut self) -> Result<[bool; 2], FirewallError> {
        let now = self.write_rules()?;
        let lost = self
            .scope
            .leases
            .map(|set| !now.has_same_set(&self.installed, set));
        for (set, lost) in self.scope.leases.into_iter().zip(lost) {
            // Whoever made it may have filled it from a file, with leases that are long over.
            if lost {
                self.empty(set)?;
            }
        }
        self.installed = now;
        Ok(lost)
    }

    /// Writes the rules, and reads back what is there then.
    fn write_rules(&mut self) -> Result<Shape, FirewallError> {
        for _ in 0..ATTEMPTS {
            let rules = check_and_apply(&self.plan)?;
            let shape = self.read_shape()?;
            // Otherwise somebody was quick to undo it.
            if shape.is_complete(&self.scope, rules) {
                return Ok(shape);
            }
        }
        Err(FirewallError::NotInstalled {
            table: self.sets.table.clone(),
        })
    }

    fn read_shape(&mut self) -> Result<Shape, FirewallError> {
        let mut outcome = Err(Errno::EINTR);
        for _ in 0..ATTEMPTS {
            outcome = Shape::read(&mut self.transport, &self.scope);
            if !matches!(outcome, Err(Errno::EINTR)) {
                break;
            }
        }
        outcome.map_err(|errno| netlink_error(errno, "reading the rules"))
    }

    fn empty(&mut self, set: &str) -> Result<(), FirewallError> {
        let Self { transport, sets, .. } = self;
        let outcome = transport.transact(|transaction| {
            transaction.push(Request::Delete, |outbox| write_set(outbox, &sets.table, set));
        });
        outcome.map_err(|refusal| self.lease_error(refusal.errno, "emptying a lease set"))
    }

    /// Puts leases back into sets that had to be made anew, all or none of them. What has less than the shortest
    /// lifetime left is left out. Returns how many that are.
    pub fn restore(&mut self, leases: &[Lease]) -> Result<usize, FirewallError> {
        let Self { transport, sets, .. } = self;
        let (four, six): (Vec<Lease>, Vec<Lease>) = leases
            .iter()
            .filter(|lease| (SHORTEST..=LONGEST).contains(&lease.remaining))
            .partition(|lease| lease.key.address.to_canonical().is_ipv4());
        let outcome = transport.transact(|transaction| {
            for (set, leases) in [(sets.leases4, &four), (sets.leases6, &six)] {
                for leases in leases.chunks(TOGETHER) {
                    transaction.push(Request::New, |outbox| {
                        write_elements(outbox, &sets.table, set, leases);
                    });
                }
            }
        });
        match outcome {
            Ok(()) => Ok(four.len() + six.len()),
            Err(Refusal { errno, .. }) => Err(self.lease_error(errno, "putting leases back")),
        }
    }

    fn lease_error(&self, errno: Errno, doing: &'static str) -> FirewallError {
        match errno {
            Errno::ENOENT => FirewallError::NotInstalled {
                table: self.sets.table.clone(),
            },
            Errno::ENFILE => FirewallError::Full {
                capacity: self.plan.capacity,
            },
            errno => netlink_error(errno, doing),
        }
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
        let Self { transport, sets, .. } = self;
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
                Err(Refusal { errno, .. }) => return Err(self.lease_error(errno, doing)),
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

    /// Those of these leases that live. Of a very large set this asks for each in microseconds, while reading it
    /// takes the square of its size.
    pub fn look_up(&mut self, keys: &[LeaseKey]) -> Result<Vec<Lease>, FirewallError> {
        let Self { transport, sets, .. } = self;
        let mut found = Vec::new();
        for keys in keys.chunks(TOGETHER) {
            let outcome = transport.ask(
                |questions| {
                    for key in keys {
                        questions.push(Request::Get, |outbox| {
                            let set = sets.of(key.address);
                            write_element(outbox, &sets.table, set, &ElementKey::of(key), None);
                        });
                    }
                },
                |answer| read_elements(answer, |lease| found.extend(lease)),
            );
            outcome.map_err(|errno| netlink_error(errno, "looking up leases"))?;
        }
        Ok(found)
    }

    /// All leases that live, as the kernel has them. For each answer the kernel begins to count at the first element
    /// again, so that ten times as many take a hundred times as long.
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

/// Checks whether the plan fits what is there, and carries it out. Returns how many rules it has.
fn check_and_apply(plan: &FirewallPlan) -> Result<usize, FirewallError> {
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
    Ok(ruleset::rules(plan))
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
