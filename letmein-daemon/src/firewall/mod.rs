//! The firewall: nftables sets whose elements are leases, and the rules that look them up.
//!
//! Opening a port is adding one set element with a timeout, closing it is the kernel's own clock. The rules
//! are written once, by `nft`, in one transaction; elements go over netlink, in microseconds. The kernel's
//! sets are the only record of what is open, so a daemon that dies, restarts or is upgraded forgets nothing.

mod adopt;
mod comment;
mod conntrack;
mod contents;
mod cut;
mod elements;
mod error;
mod expression;
pub(crate) mod fuzzing;
mod layout;
mod lease;
mod lease_set;
mod listing;
mod message;
mod netlink;
mod nft;
mod plan;
mod ports;
mod preview;
mod renewal;
mod ruleset;
mod shape;
mod snapshot;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use tracing::{info, warn};

use crate::leases::Opener;

pub use self::error::FirewallError;
pub use self::lease::{Lease, LeaseKey, Protocol, Target};
pub use self::plan::{
    Closed, DEFAULT_CAPACITY, FirewallPlan, GUARD_TABLE, Hook, Jump, JumpTo, Mode, Protected,
};
pub use self::ports::PortRange;
pub use self::preview::{PreviewError, preview};
pub use self::snapshot::Snapshot;
pub use self::watch::{Changes, Watch};

use self::elements::{ElementKey, read_elements, set_name, write_element, write_elements, write_set};
use self::layout::Layout;
use self::lease_set::{Kind, LeaseSet};
use self::listing::Stale;
use self::message::Request;
use self::netlink::{Refusal, Transport};
use self::plan::Scope;
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
    layout: Layout,
    scope: Scope,
    /// What was there after the rules were installed.
    installed: Shape,
    /// Sets of leases that were made anew since, and do not have all their leases again.
    lost: BTreeSet<LeaseSet>,
}

impl Firewall {
    /// Installs the rules, or renews them if an earlier run left them; leases that live go on living.
    ///
    /// One transaction: at no moment is a protected port open to all.
    pub fn install(plan: &FirewallPlan) -> Result<Self, FirewallError> {
        let mut firewall = Self {
            transport: Transport::open().map_err(|errno| netlink_error(errno, "opening a netlink socket"))?,
            layout: plan.layout(),
            scope: plan.scope(),
            plan: plan.clone(),
            installed: Shape::default(),
            lost: BTreeSet::new(),
        };
        firewall.installed = firewall.write_rules(&[])?;
        firewall.check_cut()?;
        let table = &firewall.layout.table;
        info!(event = "installed", table, "firewall installed table={table:?}");
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

    /// Installs the rules again. Lease sets that had to be made anew [`lack`](Self::lacks) their leases until
    /// [`all_restored`](Self::all_restored): all of them, unless they are so few that nobody has to wait for his.
    /// `living` tells which they are.
    pub fn repair(&mut self, living: impl Fn() -> Vec<Lease>) -> Result<(), FirewallError> {
        let before = self.read_shape()?;
        let missing = self.made_anew(&before);
        let few = |layout: &Layout| {
            let mut leases = living();
            leases.retain(|lease| missing.contains(&layout.set_of(&lease.key)));
            if leases.len() <= TOGETHER {
                leases
            } else {
                Vec::new()
            }
        };
        // They are there as soon as the rules are.
        let now = self.write_rules(&few(&self.layout))?;
        let leases = few(&self.layout);
        for set in self.made_anew(&now) {
            self.lost.insert(set);
            // Whoever made it may have filled it from a file, with leases that are long over. And nft counts in seconds.
            self.fill(set, &leases)?;
        }
        self.installed = now;
        Ok(())
    }

    /// The sets that are not the ones that were installed.
    fn made_anew(&self, now: &Shape) -> BTreeSet<LeaseSet> {
        let same = |set: &LeaseSet| now.has_same_set(&self.installed, &self.layout.name(*set));
        self.layout.sets().filter(|set| !same(set)).collect()
    }

    /// Whether the set of this lease was made anew, and the lease is to be put back.
    #[must_use]
    pub fn lacks(&self, key: &LeaseKey) -> bool {
        self.lost.contains(&self.layout.set_of(key))
    }

    /// Whether any set lacks leases.
    #[must_use]
    pub fn lacks_any(&self) -> bool {
        !self.lost.is_empty()
    }

    /// All leases that were lost are back.
    pub fn all_restored(&mut self) {
        self.lost.clear();
    }

    /// Writes the rules, with these leases, and reads back what is there then.
    fn write_rules(&mut self, leases: &[Lease]) -> Result<Shape, FirewallError> {
        for _ in 0..ATTEMPTS {
            let rules = check_and_apply(&self.plan, leases)?;
            let shape = self.read_shape()?;
            // Otherwise somebody was quick to undo it.
            if shape.is_complete(&self.scope, rules) {
                return Ok(shape);
            }
        }
        Err(FirewallError::NotInstalled {
            table: self.layout.table.clone(),
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

    /// Puts leases back into sets that had to be made anew, all or none of them. What has less than the shortest
    /// lifetime left is left out. Returns how many that are.
    pub fn restore(&mut self, leases: &[Lease]) -> Result<usize, FirewallError> {
        let Self {
            transport, layout, ..
        } = self;
        let mut by_set: BTreeMap<LeaseSet, Vec<Lease>> = BTreeMap::new();
        for lease in leases.iter().filter(|lease| may_last(lease.remaining)) {
            by_set
                .entry(layout.set_of(&lease.key))
                .or_default()
                .push(lease.clone());
        }
        let outcome = transport.transact(|transaction| {
            for (set, leases) in &by_set {
                let name = layout.name(set);
                for leases in leases.chunks(TOGETHER) {
                    transaction.push(Request::New, |outbox| {
                        write_elements(outbox, &layout.table, &name, *set, leases);
                    });
                }
            }
        });
        match outcome {
            Ok(()) => Ok(by_set.values().map(Vec::len).sum()),
            Err(Refusal { errno, .. }) => Err(self.lease_error(errno, "putting leases back")),
        }
    }

    fn lease_error(&self, errno: Errno, doing: &'static str) -> FirewallError {
        match errno {
            Errno::ENOENT => FirewallError::NotInstalled {
                table: self.layout.table.clone(),
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
        let leases = keys.iter().map(|key| Lease::of(*key, lifetime, Opener::Unknown));
        self.put(&leases.collect::<Vec<_>>())
    }

    /// The same, for what remains of each lease, and notes whose grants it consists of.
    pub fn put(&mut self, leases: &[Lease]) -> Result<(), FirewallError> {
        if let Some(lease) = leases.iter().find(|lease| !may_last(lease.remaining)) {
            let lifetime = lease.remaining;
            return Err(FirewallError::Lifetime { lifetime });
        }
        let doing = "opening a lease";
        let Self {
            transport, layout, ..
        } = self;
        for _ in 0..ATTEMPTS {
            // Kernels before 6.12 keep the old clock of an element that is added again, and a deletion fails
            // if the element is not there. So: add, in case it is not there, delete, add with the new clock.
            let outcome = transport.transact(|transaction| {
                for lease in leases {
                    let set = layout.set_of(&lease.key);
                    let name = layout.name(set);
                    let element = ElementKey::of(set, &lease.key);
                    let millis = u64::try_from(lease.remaining.as_millis()).unwrap_or(u64::MAX);
                    let comment = comment::to_bytes(lease);
                    let added = Some((millis, &comment[..]));
                    for (request, added) in [
                        (Request::New, added),
                        (Request::Delete, None),
                        (Request::New, added),
                    ] {
                        transaction.push(request, |outbox| {
                            write_element(outbox, &layout.table, &name, &element, added);
                        });
                    }
                }
            });
            match outcome {
                Ok(()) => {
                    let keys: Vec<_> = leases.iter().map(|lease| lease.key).collect();
                    if let Err(error) = self.revive(&keys) {
                        warn!("a UDP flow that was cut may stay so for a while: {error}");
                    }
                    return Ok(());
                }
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

    /// Closes leases for ports that are leased in another way than when these were opened: by another prefix, or as part of
    /// a range. A lease opens what was asked for, and never turns into one for something else. It is enough to look for
    /// those that are known, if any are.
    pub fn close_strays(&mut self, known: Option<&[LeaseKey]>) -> Result<(), FirewallError> {
        // The others are for one thing each, which is in their names.
        let sets: Vec<_> = self.layout.sets().filter(|set| set.kind == Kind::Ports).collect();
        if !self.layout.has_various() {
            return Ok(());
        }
        for set in sets {
            let strays: Vec<_> = match known {
                None => self.dump(set)?,
                Some(keys) => {
                    let of_family = keys
                        .iter()
                        .filter(|key| key.port().is_some() && self.layout.set_of(key).family == set.family);
                    let elsewhere = of_family.filter(|key| self.layout.set_of(key) != set);
                    let keys: Vec<_> = elsewhere.copied().collect();
                    self.look_up_in(&keys, |_| set)?
                }
            };
            for lease in strays {
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

    /// Those of these leases that live. Of a very large set this asks for each in microseconds, while reading it
    /// takes the square of its size.
    pub fn look_up(&mut self, keys: &[LeaseKey]) -> Result<Vec<Lease>, FirewallError> {
        let layout = self.layout.clone();
        self.look_up_in(keys, |key| layout.set_of(key))
    }

    fn look_up_in(
        &mut self,
        keys: &[LeaseKey],
        set_of: impl Fn(&LeaseKey) -> LeaseSet,
    ) -> Result<Vec<Lease>, FirewallError> {
        let Self {
            transport, layout, ..
        } = self;
        let mut found = Vec::new();
        for keys in keys.chunks(TOGETHER) {
            let outcome = transport.ask(
                |questions| {
                    for key in keys {
                        let set = set_of(key);
                        let (name, element) = (layout.name(set), ElementKey::of(set, key));
                        questions.push(Request::Get, |outbox| {
                            write_element(outbox, &layout.table, &name, &element, None);
                        });
                    }
                },
                |answer| {
                    if let Some(set) = set_name(answer).and_then(|name| layout.parse(name)) {
                        read_elements(set, answer, |lease| found.extend(lease));
                    }
                },
            );
            outcome.map_err(|errno| netlink_error(errno, "looking up leases"))?;
        }
        Ok(found)
    }

    /// All leases that live, as the kernel has them. For each answer the kernel begins to count at the first element
    /// again, so that ten times as many take a hundred times as long.
    pub fn leases(&mut self) -> Result<Vec<Lease>, FirewallError> {
        let sets: Vec<_> = self.layout.sets().collect();
        let mut leases = Vec::new();
        for set in sets {
            leases.append(&mut self.dump(set)?);
        }
        Ok(leases)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a start or a reload waits 80 ms at most, and only if the kernel enlarges the set just then"
    )]
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

/// Checks whether the plan fits what is there, and carries it out. Returns how many rules it has.
fn check_and_apply(plan: &FirewallPlan, leases: &[Lease]) -> Result<usize, FirewallError> {
    plan.check()?;
    let layout = plan.layout();
    let chains = plan.chains();
    let base = plan.base_chains(&layout);
    let names: Vec<_> = chains
        .iter()
        .map(|(_, chain)| *chain)
        .chain(base.iter().map(String::as_str))
        .collect();
    let stale = match &plan.mode {
        Mode::Guard { .. } => {
            if let Some(listing) = nft::list(GUARD_TABLE)? {
                listing.check_guard(&layout)?;
                listing.stale(&layout, &names)
            } else {
                adopt_connections(plan);
                Stale::default()
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
            listing.check_user(&layout, &chains)?;
            for jump in &plan.jumps {
                for to in &jump.to {
                    listing.check_jump(table, &chains, jump.resource, &to.chain)?;
                }
            }
            for (_, chain) in chains.iter().filter(|(_, chain)| !listing.is_jumped_to(chain)) {
                warn!("no rule in table `inet {table}` jumps to `{chain}`: knocks will open nothing there");
            }
            listing.stale(&layout, &names)
        }
    };
    let mut batch = ruleset::install(plan, &layout, &stale);
    ruleset::open(&mut batch, &layout, leases);
    nft::apply(batch, "installing the rules")?;
    Ok(ruleset::rules(plan, &layout))
}

/// Before there are rules of ours that would cut them. Where connections end with their lease, one that is not known may
/// have been ended.
fn adopt_connections(plan: &FirewallPlan) {
    let outcome = adopt::adopt(|protocol, port| {
        let mut protected = plan.protected.iter();
        protected.any(|protected| !protected.cut && protected.ports.contains(protocol, port))
    });
    match outcome {
        Ok(0) => {}
        Ok(adopted) => info!("{adopted} open connections to protected ports go on"),
        Err(error) => {
            warn!("open connections to protected ports may be cut, as conntrack takes none: {error}");
        }
    }
}

fn may_last(lifetime: Duration) -> bool {
    (SHORTEST..=LONGEST).contains(&lifetime)
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
