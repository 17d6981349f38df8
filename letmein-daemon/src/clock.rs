//! The clock that the XDP program reads too, and what it leaves out.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`. It stands still while the machine is suspended.
#[must_use]
pub fn monotonic() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// How long the machine has been suspended since it was booted, in nanoseconds.
#[must_use]
pub fn asleep() -> u64 {
    let monotonic = monotonic();
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(monotonic)
}

fn read(clock: ClockId) -> u64 {
    // Fails only for a clock that does not exist.
    let Ok(now) = clock_gettime(clock) else {
        return 0;
    };
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}
