//! What each gate takes while nobody attacks it: memory of its processes, memory of its BPF maps, and milliseconds from
//! starting the client to the first accepted connection. `cargo xtask bench memory` runs it.

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
    /// Milliseconds, of those knocks that opened; sorted.
    took: Vec<f64>,
    knocks: usize,
}

/// Starts it, and lets it be knocked on so many times.
pub fn of(contestant: &'static str, start: Start, knocks: usize) -> anyhow::Result<Footprint> {
    let running = start()?;
    running.verify().context(contestant)?;
    let mut took = Vec::new();
    for _ in 0..knocks {
        took.extend(running.open()?);
    }
    took.sort_by(f64::total_cmp);
    measure(contestant, &running, took, knocks)
}

fn measure(
    contestant: &'static str,
    running: &Contestant,
    took: Vec<f64>,
    knocks: usize,
) -> anyhow::Result<Footprint> {
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
        took,
        knocks,
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
    fn median_ms(&self) -> Option<f64> {
        self.took.get(self.took.len() / 2).copied()
    }

    pub fn json(&self) -> Value {
        json!({
            "contestant": self.contestant,
            "processes": self.processes,
            "resident_kib": self.resident_kib,
            "maps_kib": self.maps_kib,
            "open_ms": self.median_ms().map(|ms| (ms * 10.0).round() / 10.0),
            "opened": self.took.len(),
            "knocks": self.knocks,
        })
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:<26}{:>3} processes{:>8} KiB{:>8} KiB of maps{:>8.1} ms to open ({} of {})",
            self.contestant,
            self.processes,
            self.resident_kib,
            self.maps_kib,
            self.median_ms().unwrap_or(f64::NAN),
            self.took.len(),
            self.knocks
        )
    }
}
