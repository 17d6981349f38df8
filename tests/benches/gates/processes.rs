//! What processes and softirqs have used of the CPUs.

use anyhow::Context as _;
use nix::unistd::Pid;
use std::{collections::HashMap, fs, path::Path, time::Duration};

/// CPU time of these processes and all that they have started, as far as they live.
pub fn cpu_time(roots: &[Pid]) -> anyhow::Result<Duration> {
    let family = family(roots)?;
    Ok(family.iter().map(|pid| of_process(*pid)).sum())
}

/// These processes and their descendants.
pub fn family(roots: &[Pid]) -> anyhow::Result<Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse() else {
            continue;
        };
        // It may have ended meanwhile.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name is in parentheses, and may have some itself.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split(' ').nth(2));
        if let Some(Ok(parent)) = parent.map(str::parse) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut family: Vec<i32> = roots.iter().map(|pid| pid.as_raw()).collect();
    let mut at = 0;
    while let Some(pid) = family.get(at) {
        let born = children.get(pid).cloned().unwrap_or_default();
        family.extend(born);
        at += 1;
    }
    Ok(family)
}

/// In nanoseconds, and not in ticks as in `/proc/PID/stat`.
fn of_process(pid: i32) -> Duration {
    let tasks = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"));
    tasks
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| {
            let line = fs::read_to_string(task.path().join("schedstat")).ok()?;
            line.split(' ').next()?.parse().ok()
        })
        .map(Duration::from_nanos)
        .sum()
}

/// Time in softirqs of all CPUs since the machine was started, in ticks of 10 ms.
pub fn softirq_time() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = stat
        .split_whitespace()
        .nth(7)
        .context("/proc/stat has no softirqs")?;
    Ok(Duration::from_millis(ticks.parse::<u64>()? * 10))
}
