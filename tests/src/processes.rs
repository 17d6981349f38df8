//! What the kernel says of a running daemon: all of its processes, their memory, descriptors and BPF maps.

use crate::{gate::Gate, lab::Host};
use anyhow::Context as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// What a daemon takes of the machine at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Memory of its processes that is no file's, in KiB.
    pub memory: u64,
    /// Open descriptors of its processes.
    pub descriptors: usize,
    /// The kernel's memory for its BPF maps, in bytes, by map.
    pub maps: BTreeMap<u32, u64>,
}

impl Usage {
    /// That of all of the gate's processes.
    pub fn of(gate: &Gate) -> anyhow::Result<Self> {
        let mut usage = Self {
            memory: 0,
            descriptors: 0,
            maps: BTreeMap::new(),
        };
        for process in processes(gate)? {
            usage.memory += number(&format!("/proc/{process}/status"), "RssAnon:")?;
            usage.descriptors += fs::read_dir(format!("/proc/{process}/fd"))?.count();
            usage.maps.extend(maps(process)?);
        }
        Ok(usage)
    }
}

/// The gate's process and all that descend from it.
pub fn processes(gate: &Gate) -> anyhow::Result<BTreeSet<i32>> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|process: i32| Some((process, parent(process)?)))
        .collect();
    let mut found = BTreeSet::from([gate.pid().as_raw()]);
    loop {
        let before = found.len();
        for (process, parent) in &parents {
            if found.contains(parent) {
                found.insert(*process);
            }
        }
        if found.len() == before {
            return Ok(found);
        }
    }
}

/// The BPF maps that the gate has open, by their numbers.
pub fn map_ids(gate: &Gate) -> anyhow::Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for process in processes(gate)? {
        found.extend(maps(process)?.into_keys());
    }
    Ok(found)
}

/// What a host's kernel has counted for a protocol since the namespace was made: `protocol` and `name` as in
/// `/proc/net/snmp`, such as `Udp` and `InDatagrams`, or `Udp6`.
pub fn counted(host: &Host, protocol: &str, name: &str) -> anyhow::Result<u64> {
    if protocol.ends_with('6') {
        let table = host.run("cat", &["/proc/net/snmp6"])?;
        return first_number(&table, &format!("{protocol}{name}"));
    }
    let table = host.run("cat", &["/proc/net/snmp"])?;
    let mut rows = table
        .lines()
        .filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
    let (names, values) = (rows.next(), rows.next());
    names
        .zip(values)
        .and_then(|(names, values)| {
            let mut columns = names.split(' ').zip(values.split(' '));
            columns.find(|(column, _)| *column == name)?.1.parse().ok()
        })
        .with_context(|| format!("{protocol} {name}"))
}

fn parent(process: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    i32::try_from(first_number(&status, "PPid:").ok()?).ok()
}

fn maps(process: i32) -> anyhow::Result<BTreeMap<u32, u64>> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{process}/fdinfo"))? {
        // Descriptors come and go while one looks.
        let Ok(text) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        if let Ok(id) = first_number(&text, "map_id:") {
            maps.insert(u32::try_from(id)?, first_number(&text, "memlock:")?);
        }
    }
    Ok(maps)
}

fn number(path: &str, name: &str) -> anyhow::Result<u64> {
    first_number(&fs::read_to_string(path).with_context(|| path.to_owned())?, name)
}

/// The number after this word, which a line begins with.
fn first_number(text: &str, word: &str) -> anyhow::Result<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines
        .find_map(|mut words| (words.next()? == word).then(|| words.next()?.parse().ok())?)
        .with_context(|| format!("there is no {word} in {text}"))
}
