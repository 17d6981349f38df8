//! What each gate takes while nobody attacks it: memory of its processes, and of its BPF maps. `cargo xtask bench memory`
//! runs it.

use super::{
    contestant::{Contestant, Start},
    processes,
};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fmt, fs,
    path::{Path, PathBuf},
};

/// What one gate takes.
pub struct Footprint {
    contestant: &'static str,
    processes: usize,
    /// KiB of all its processes that are in memory; what several share is counted in part (PSS).
    resident_kib: u64,
    /// KiB of BPF maps and programs.
    maps_kib: u64,
}

/// Starts it, and lets it be knocked on.
pub fn of(contestant: &'static str, start: Start) -> anyhow::Result<Footprint> {
    let running = start()?;
    running.verify().context(contestant)?;
    measure(contestant, &running)
}

fn measure(contestant: &'static str, running: &Contestant) -> anyhow::Result<Footprint> {
    let family = processes::family(&running.processes)?;
    let mut resident_kib = 0;
    let mut maps = HashMap::new();
    for pid in &family {
        let folder = Path::new("/proc").join(pid.to_string());
        // One that has just ended has no memory any more.
        resident_kib += resident(&folder).unwrap_or_default();
        let descriptors = fs::read_dir(folder.join("fdinfo"));
        for entry in descriptors.into_iter().flatten().flatten() {
            maps.extend(bpf_object(&entry.path()));
        }
    }
    anyhow::ensure!(resident_kib > 0, "the kernel does not tell what a process takes");
    Ok(Footprint {
        contestant,
        processes: family.len(),
        resident_kib,
        maps_kib: maps.values().sum::<u64>() / 1024,
    })
}

fn resident(process: &Path) -> Option<u64> {
    let text = fs::read_to_string(process.join("smaps_rollup")).ok()?;
    field(&text, "Pss:")
}

/// What the descriptor of a BPF map or program stands for, and its bytes. Two processes may have the same one.
fn bpf_object(fdinfo: &PathBuf) -> Option<((&'static str, u64), u64)> {
    let text = fs::read_to_string(fdinfo).ok()?;
    let id = ["map_id:", "prog_id:"]
        .into_iter()
        .find_map(|kind| Some((kind, field(&text, kind)?)))?;
    Some((id, field(&text, "memlock:")?))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

impl Footprint {
    pub fn json(&self) -> Value {
        json!({
            "contestant": self.contestant,
            "processes": self.processes,
            "resident_kib": self.resident_kib,
            "maps_kib": self.maps_kib,
        })
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:<30}{:>3} processes{:>8} KiB{:>8} KiB of maps",
            self.contestant, self.processes, self.resident_kib, self.maps_kib,
        )
    }
}
