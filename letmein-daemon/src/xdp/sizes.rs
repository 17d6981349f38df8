//! How large maps have to be.

use aya::util::nr_cpus;

/// A size for the table of pending challenges by which it never pushes one out by itself: the warden takes out what is
/// too much, and each CPU may keep this many free elements to itself (`LOCAL_FREE_TARGET` in `kernel/bpf/bpf_lru_list.c`).
pub(super) fn pending(challenges: u32) -> u32 {
    const KEPT: usize = 128;
    /// If the kernel does not say how many CPUs there may be.
    const MANY: usize = 256;
    let cpus = nr_cpus().unwrap_or(MANY);
    challenges.saturating_add(size(cpus.saturating_mul(KEPT)))
}

/// A map's size for this many entries: a map of none cannot be made.
pub(super) fn size(entries: usize) -> u32 {
    u32::try_from(entries).unwrap_or(u32::MAX).max(1)
}
