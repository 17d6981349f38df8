//! The gate in the kernel: the loaded program and its maps.

use super::{
    accounts::Accounts,
    attach::{Attached, Mode},
    awaited::Challenges,
    error::XdpError,
    framing::Framing,
    hooks::Hooks,
    kernel,
    nonces::Nonces,
    object::Object,
    packet_log::PacketLog,
    pin::{self, Pins, Record},
    programs::{self, take},
    refused::RefusedPackets,
    shield::{Shield, ShieldPlan},
    sizes::size,
};
use crate::{
    clock,
    quota::Quota,
    silent::tags::{Change, EPOCHS},
};
use aya::{
    Ebpf, EbpfError, EbpfLoader, Pod,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray},
    programs::Xdp,
};
use letmein_common::{
    UserId,
    filter::UserFilter,
    hmac::KeyedStates,
    keccak::LANES,
    maps::{Pending, PendingKey, PermitKey, Settings, Tally},
    reason::Counters,
    sample::Refused,
    shield::RULES,
};
use log::Log;
use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

/// What the program is loaded with.
pub struct Plan<'a> {
    /// Ports, limits, flags.
    pub settings: Settings,
    /// Every user's key.
    pub users: Vec<(UserId, &'a KeyedStates)>,
    /// Who may open what.
    pub permits: Vec<PermitKey>,
    /// How many salts are remembered.
    pub seen_salts: u32,
    /// How many challenges may be pending.
    pub pending_challenges: u32,
    /// What silent knocks take, if they are taken.
    pub silent: Option<SilentPlan<'a>>,
    /// What the shield takes, if there are ports that it is about.
    pub shield: Option<ShieldPlan>,
    /// Which programs are loaded at once. Others are when an interface needs them.
    pub framings: Vec<Framing>,
    /// Where to pin what outlives the process; without, nothing does.
    pub pins: Option<Pins>,
}

/// What silent knocks take besides.
pub struct SilentPlan<'a> {
    /// Every user's key of the MAC.
    pub keys: Vec<(UserId, &'a KeyedStates)>,
    /// Pairs of user and resource.
    pub pairs: usize,
}

/// A ring buffer that another process may read.
pub struct RingBuffer {
    /// The map.
    pub descriptor: OwnedFd,
    /// How many bytes of data it holds.
    pub size: u32,
}

/// The loaded program. Dropping it detaches and unloads it, but from where a pin holds it.
pub struct KernelGate {
    ebpf: Ebpf,
    hooks: Hooks,
    tags: HashMap<MapData, u64, [u64; 5]>,
    remembers: bool,
    shield: Option<Shield>,
    accounts: Accounts,
    nonces: Option<Nonces>,
    challenges: Challenges,
    tally: PerCpuArray<MapData, Tally>,
    /// What the programs before this one have counted.
    counted: Counters,
    refused: RefusedPackets,
    records: Vec<(Record, MapData)>,
    pins: Option<Pins>,
}

impl KernelGate {
    /// Loads `object` and fills its maps. No packet passes through it before [`KernelGate::attach`].
    pub fn load(object: Object<'_>, plan: &Plan<'_>) -> Result<Self, XdpError> {
        let silent = plan.silent.as_ref();
        let nonces = if silent.is_some() {
            Quota::of(plan.users.len(), plan.seen_salts).nonces
        } else {
            1
        };
        let mut loader = EbpfLoader::new();
        let mut remembers = false;
        let mut pinned = Vec::new();
        if let Some(pins) = &plan.pins {
            let salts = pins.map(pin::SALTS, plan.seen_salts.max(1))?;
            loader.map_pin_path("SALTS", salts.path);
            pinned.push(pin::SALTS);
            if silent.is_some() {
                let nonces = pins.map(pin::NONCES, nonces)?;
                loader.map_pin_path("NONCES", nonces.path);
                remembers = nonces.exists;
                pinned.push(pin::NONCES);
            }
        }
        let mut ebpf = loader
            .override_global("SETTINGS", &plan.settings, true)
            .map_max_entries("USERS", size(plan.users.len()))
            .map_max_entries("ACCOUNTS", size(plan.users.len()))
            .map_max_entries("PERMITS", size(plan.permits.len()))
            .map_max_entries("SALTS", plan.seen_salts.max(1))
            .map_max_entries("SILENT_KEYS", size(silent.map_or(0, |silent| silent.keys.len())))
            .map_max_entries(
                "TAGS",
                size(silent.map_or(0, |silent| silent.pairs.saturating_mul(EPOCHS))),
            )
            .map_max_entries("NONCES", nonces)
            .map_max_entries("PENDING", plan.pending_challenges.max(1))
            .map_max_entries("RULES", plan.shield.as_ref().map_or(1, |_| RULES))
            .map_max_entries(
                "LEASES",
                plan.shield.as_ref().map_or(1, |shield| shield.leases.max(1)),
            )
            .load(object.bytes())
            .map_err(|error| kernel::blame(load_error(error)))?;
        let mut records = Vec::new();
        let mut accounts = None;
        if let Some(pins) = &plan.pins {
            accounts = pins.earlier(pin::ACCOUNTS);
            let Some(Map::HashMap(ours)) = ebpf.map("ACCOUNTS") else {
                return Err(XdpError::Missing("ACCOUNTS"));
            };
            pins.keep(pin::ACCOUNTS, ours)?;
            pinned.push(pin::ACCOUNTS);
            for record in pinned {
                records.push((record, pins.open_record(record)?));
            }
        }
        for framing in &plan.framings {
            programs::loaded(&mut ebpf, *framing)?;
        }
        fill_users(&mut ebpf, plan)?;
        if let Some(silent) = silent {
            fill_keys(take(&mut ebpf, "SILENT_KEYS")?, "SILENT_KEYS", &silent.keys)?;
        }
        fill_permits(&mut ebpf, plan)?;
        let shield = plan.shield.as_ref();
        let shield = shield.map(|plan| Shield::new(&mut ebpf, plan)).transpose()?;
        let users = plan.users.iter().map(|(user, _)| *user);
        let mut kept = Accounts::new(&mut ebpf, users)?;
        if let Some(earlier) = accounts {
            kept.carry_over(earlier);
        }
        let challenges = Challenges::new(&mut ebpf, plan.pending_challenges)?;
        let nonces = silent.map(|_| Nonces::new(&mut ebpf, nonces)).transpose()?;
        let tally = take(&mut ebpf, "TALLY")?;
        let tags = take(&mut ebpf, "TAGS")?;
        let refused = RefusedPackets::new(take(&mut ebpf, "REFUSED")?, take(&mut ebpf, "ROUND")?);
        Ok(Self {
            ebpf,
            hooks: Hooks::new(plan.pins.clone()),
            tags,
            remembers,
            shield,
            accounts: kept,
            nonces,
            challenges,
            tally,
            counted: Counters::default(),
            refused,
            records,
            pins: plan.pins.clone(),
        })
    }

    /// Knows the challenges that are pending in another one, and what that one has learned of users; and takes the
    /// interfaces that it is on without pins.
    pub fn succeed(&mut self, other: &mut Self) -> Result<(), XdpError> {
        self.challenges.succeed(&other.challenges, clock::monotonic())?;
        self.accounts.succeed(&other.accounts);
        let given = other.hooks.give_up(&mut other.ebpf);
        self.hooks.take(given);
        Ok(())
    }

    /// Counts on from what another one has counted, which sees no packets any more.
    pub fn count_on(&mut self, other: &Self) -> Result<(), XdpError> {
        self.counted = other.counters()?;
        Ok(())
    }

    /// Pins the records again, if another one has pinned its own instead.
    pub fn keep_records(&self) -> Result<(), XdpError> {
        let Some(pins) = &self.pins else {
            return Ok(());
        };
        self.records
            .iter()
            .try_for_each(|(record, map)| pins.keep(*record, map))
    }

    /// Attaches the program to an interface: in the place of the one that an earlier run has left there, and instead of to
    /// an interface that had this name before.
    pub fn attach(&mut self, interface: &str, mode: Mode) -> Result<Attached, XdpError> {
        self.hooks.attach(&mut self.ebpf, interface, mode)
    }

    /// Takes the program from an interface. Returns whether it was there.
    pub fn detach(&mut self, interface: &str) -> Result<bool, XdpError> {
        self.hooks.detach(&mut self.ebpf, interface)
    }

    /// Detaches what an earlier run has attached anywhere else.
    pub fn detach_others(&mut self) -> Result<(), XdpError> {
        self.hooks.release_others()
    }

    /// The kernel's number of the program for interfaces of this kind; none if no interface has needed it yet.
    pub fn program_id(&self, framing: Framing) -> Result<Option<u32>, XdpError> {
        let program = programs::of(&self.ebpf, framing)?;
        if program.fd().is_err() {
            return Ok(None);
        }
        Ok(Some(program.info().map_err(XdpError::Verifier)?.id()))
    }

    /// The kernel's numbers of all programs that it was given.
    pub fn program_ids(&self) -> Result<Vec<u32>, XdpError> {
        let ids = Framing::ALL.iter().map(|framing| self.program_id(*framing));
        ids.filter_map(Result::transpose).collect()
    }

    /// Lets the RESPONSE to a challenge pass until it lapses.
    pub fn expect_response(&mut self, exchange: &PendingKey, pending: &Pending) -> Result<(), XdpError> {
        self.challenges.expect(exchange, pending, clock::monotonic())
    }

    /// The record of accepted silent knocks, once, for whoever keeps it tidy; `None` also if there are no silent knocks.
    pub const fn nonces(&mut self) -> Option<Nonces> {
        self.nonces.take()
    }

    /// How many genuine knocks of each user were refused because they were too many.
    pub fn over_quota(&self) -> Result<Vec<(UserId, u64)>, XdpError> {
        self.accounts.over_quota()
    }

    /// Whether the nonces that an earlier run has accepted are still known.
    #[must_use]
    pub const fn remembers(&self) -> bool {
        self.remembers
    }

    /// Changes the table of tags.
    pub fn change_tag(&mut self, change: &Change) -> Result<(), XdpError> {
        let changed = match change {
            Change::Set(tag, entry) => self.tags.insert(tag, entry.words(), 0),
            // Two tags may be the same by chance, and then they were one entry.
            Change::Remove(tag) => remove(&mut self.tags, tag),
        };
        changed.map_err(|source| XdpError::Map { map: "TAGS", source })
    }

    /// The shield, once; `None` also if there is no port that it is about. It knows no leases yet.
    pub const fn shield(&mut self) -> Option<Shield> {
        self.shield.take()
    }

    /// The ring buffer with silent knocks, for whoever reads it.
    pub fn knocks(&self) -> Result<RingBuffer, XdpError> {
        let Some(Map::RingBuf(map)) = self.ebpf.map("KNOCKS") else {
            return Err(XdpError::Missing("KNOCKS"));
        };
        let failed = |source| XdpError::Map {
            map: "KNOCKS",
            source,
        };
        Ok(RingBuffer {
            size: map.info().map_err(failed)?.max_entries(),
            descriptor: map.fd().as_fd().try_clone_to_owned().map_err(XdpError::Ring)?,
        })
    }

    /// A few of the packets that were refused since this was called last.
    pub fn refused(&mut self) -> Result<Vec<Refused>, XdpError> {
        self.refused.next_round()
    }

    /// What the program and those before it have counted since this process began, over all CPUs.
    pub fn counters(&self) -> Result<Counters, XdpError> {
        let cpus = self
            .tally
            .get(&0, 0)
            .map_err(|source| XdpError::Map { map: "TALLY", source })?;
        let mut sum = self.counted;
        for tally in cpus.iter() {
            sum.add(&tally.counters);
        }
        Ok(sum)
    }

    /// The messages of the packet path, once: `None` unless the object was built for debugging.
    pub fn messages<L: Log>(&mut self, sink: L) -> Result<Option<PacketLog<L>>, XdpError> {
        PacketLog::of(&mut self.ebpf, sink)
    }

    /// The program for Ethernet itself, for measurements.
    pub fn program(&self) -> Result<&Xdp, XdpError> {
        programs::of(&self.ebpf, Framing::Ethernet)
    }
}

fn fill_users(ebpf: &mut Ebpf, plan: &Plan<'_>) -> Result<(), XdpError> {
    fill_keys(take(ebpf, "USERS")?, "USERS", &plan.users)?;
    let mut filter = UserFilter::EMPTY;
    for (user, _) in &plan.users {
        filter.insert(*user);
    }
    let mut filters: Array<_, UserFilter> = take(ebpf, "USER_FILTER")?;
    filters.set(0, filter, 0).map_err(|source| XdpError::Map {
        map: "USER_FILTER",
        source,
    })
}

fn fill_keys(
    mut keys: HashMap<MapData, UserId, [u64; 2 * LANES]>,
    map: &'static str,
    users: &[(UserId, &KeyedStates)],
) -> Result<(), XdpError> {
    for (user, states) in users {
        // By reference: a copy on the stack would not be wiped.
        let lanes: &[u64; 2 * LANES] = &states.lanes();
        keys.insert(user, lanes, 0)
            .map_err(|source| XdpError::Map { map, source })?;
    }
    Ok(())
}

fn fill_permits(ebpf: &mut Ebpf, plan: &Plan<'_>) -> Result<(), XdpError> {
    let mut permits: HashMap<_, PermitKey, u8> = take(ebpf, "PERMITS")?;
    for permit in &plan.permits {
        permits.insert(permit, 0, 0).map_err(|source| XdpError::Map {
            map: "PERMITS",
            source,
        })?;
    }
    Ok(())
}

/// Removes an entry. That there was none is no error.
pub(super) fn remove<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>, key: &K) -> Result<(), MapError> {
    match map.remove(key) {
        // Not `KeyNotFound`, which only a look-up says.
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn load_error(error: EbpfError) -> XdpError {
    if let EbpfError::MapError(MapError::CreateError { io_error, .. }) = &error
        && io_error.kind() == io::ErrorKind::PermissionDenied
    {
        return XdpError::Permission;
    }
    match error {
        EbpfError::MapError(MapError::CreateError { name, io_error, .. })
            if io_error.kind() == io::ErrorKind::OutOfMemory =>
        {
            XdpError::Memory {
                map: name,
                source: io_error,
            }
        }
        error => XdpError::Load(error),
    }
}
