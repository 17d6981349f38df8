//! The loaded XDP program, whose memory can be wiped.

use super::{
    expected::{Knock, Outcome, outcome},
    scene,
};
use aya::{
    Pod,
    maps::{HashMap, Map, MapData, MapInfo, PerCpuArray, PerCpuValues, RingBuf},
    programs::{TestRun as _, TestRunOptions},
    util::nr_cpus,
};
use letmein_common::{
    UserId,
    account::Account,
    gate::Budgets,
    maps::{Awaited, Pending, PendingKey, SilentKnock},
    reason::Counters,
    source::Address,
};
use letmein_daemon::{
    config::Config,
    firewall::LeaseKey,
    loading,
    xdp::{KernelGate, Object, Shield},
};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use std::collections::HashSet;

/// Places in the shield.
const LEASES: u32 = 1024;
/// Verdict of `linux/bpf.h`.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

pub struct Kernel {
    gate: KernelGate,
    shield: Option<Shield>,
    leases: HashSet<LeaseKey>,
    buckets: HashMap<MapData, Address, u64>,
    budgets: PerCpuArray<MapData, Budgets>,
    accounts: HashMap<MapData, UserId, Account>,
    salts: HashMap<MapData, [u64; 2], u8>,
    nonces: HashMap<MapData, [u64; 3], u64>,
    pending: HashMap<MapData, PendingKey, Awaited>,
    knocks: RingBuf<MapData>,
    counters: Counters,
}

/// The program by itself, for this configuration.
#[expect(clippy::expect_used, reason = "without root there is nothing to fuzz")]
pub fn program(config: &Config) -> KernelGate {
    let object = Object::embedded().expect("cargo xtask build-ebpf comes first");
    KernelGate::load(object, &loading::plan(config, LEASES)).expect("loading takes root")
}

#[expect(
    clippy::expect_used,
    reason = "without root or with a program that cannot be loaded there is nothing to fuzz"
)]
impl Kernel {
    /// Loads the program. Nothing is attached to any interface.
    pub fn load(config: &Config) -> Self {
        stay();
        let mut gate = program(config);
        for change in scene::tags(config) {
            gate.change_tag(&change).expect("there is room for the tags");
        }
        let maps = maps(&gate);
        let map = |name| {
            let id = maps
                .iter()
                .find(|(found, _)| found == name)
                .expect("the map is there")
                .1;
            MapData::from_id(id).expect("the map can be opened")
        };
        Self {
            shield: gate.shield(),
            leases: HashSet::new(),
            buckets: hash_map(map("BUCKETS")),
            budgets: PerCpuArray::try_from(Map::PerCpuArray(map("BUDGETS"))).expect("it is one for each CPU"),
            accounts: plain_map(map("ACCOUNTS")),
            salts: hash_map(map("SALTS")),
            nonces: plain_map(map("NONCES")),
            pending: plain_map(map("PENDING")),
            knocks: RingBuf::try_from(Map::RingBuf(map("KNOCKS"))).expect("it is a ring buffer"),
            counters: gate.counters().expect("there are counters"),
            gate,
        }
    }

    /// Forgets all packets and what the daemon said.
    pub fn forget(&mut self) {
        clear(&mut self.buckets);
        let users: Result<Vec<_>, _> = self.accounts.keys().collect();
        for user in users.expect("the map can be read") {
            let none = Account::default();
            self.accounts.insert(user, none, 0).expect("it was there");
        }
        let full = vec![Budgets::default(); nr_cpus().expect("there is a CPU")];
        let full = PerCpuValues::try_from(full).expect("one for each CPU");
        self.budgets.set(0, full, 0).expect("it can be written");
        clear(&mut self.salts);
        clear(&mut self.nonces);
        clear(&mut self.pending);
        for lease in std::mem::take(&mut self.leases) {
            self.shut_out(&lease);
        }
    }

    pub fn challenge(&mut self, exchange: &PendingKey, pending: &Pending) {
        let expected = self.gate.expect_response(exchange, pending);
        expected.expect("there is room for challenges");
    }

    pub fn admit(&mut self, lease: &LeaseKey, end: u64) {
        if let Some(shield) = &mut self.shield {
            shield.admit(lease, end).expect("there is room for leases");
            self.leases.insert(*lease);
        }
    }

    pub fn shut_out(&mut self, lease: &LeaseKey) {
        if let Some(shield) = &mut self.shield {
            shield.shut_out(lease).expect("leases can be removed");
        }
    }

    /// Runs the program on a frame, of 14 bytes at least.
    pub fn run(&mut self, frame: &[u8]) -> Outcome {
        let mut after = vec![0; frame.len()];
        let result = self.gate.program().and_then(|program| {
            let options = TestRunOptions {
                data_in: Some(frame),
                data_out: Some(&mut after),
                repeat: 1,
                ..TestRunOptions::default()
            };
            program
                .test_run(options)
                .map_err(letmein_daemon::xdp::XdpError::Verifier)
        });
        let verdict = result.expect("the kernel runs the program").return_value;
        assert!([XDP_DROP, XDP_PASS].contains(&verdict), "verdict {verdict}");
        assert_eq!(after, frame, "no packet is changed");
        let counters = self.gate.counters().expect("there are counters");
        let mut delivered = Vec::new();
        while let Some(record) = self.knocks.next() {
            let knock = SilentKnock::from_bytes(&record).expect("a knock as long as it is");
            delivered.push(Knock::from(&knock));
        }
        let before = std::mem::replace(&mut self.counters, counters);
        outcome(&before, &counters, verdict == XDP_PASS, &delivered).unwrap_or_else(|| {
            unreachable!("verdict {verdict}, {delivered:?}, {before:?}, {counters:?}: {frame:02x?}")
        })
    }
}

/// Keeps this thread on one CPU, on which the program then always runs: each has budgets of its own.
#[expect(clippy::expect_used, reason = "without it, both sides would not count alike")]
pub fn stay() {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).expect("a thread can be asked where it may run");
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let mut one = CpuSet::new();
    one.set(first.expect("it runs somewhere"))
        .expect("the number is in range");
    sched_setaffinity(this, &one).expect("a thread may be sent where it may run");
}

/// Names and numbers of the program's maps.
fn maps(gate: &KernelGate) -> Vec<(String, u32)> {
    let info = gate.program().ok().and_then(|program| program.info().ok());
    let ids = info.and_then(|info| info.map_ids().ok().flatten());
    let named = |id| Some((MapInfo::from_id(id).ok()?.name_as_str()?.to_owned(), id));
    ids.into_iter().flatten().filter_map(named).collect()
}

#[expect(clippy::expect_used, reason = "the object has them so")]
fn hash_map<K: Pod, V: Pod>(data: MapData) -> HashMap<MapData, K, V> {
    HashMap::try_from(Map::LruHashMap(data)).expect("keys and values are as long as that")
}

/// The same of a map in which nothing makes way.
#[expect(clippy::expect_used, reason = "the object has them so")]
fn plain_map<K: Pod, V: Pod>(data: MapData) -> HashMap<MapData, K, V> {
    HashMap::try_from(Map::HashMap(data)).expect("keys and values are as long as that")
}

#[expect(clippy::expect_used, reason = "nobody else changes it")]
fn clear<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>) {
    let keys: Result<Vec<_>, _> = map.keys().collect();
    for key in keys.expect("the map can be read") {
        map.remove(&key).expect("it was there");
    }
}
