//! What the XDP program did, as coverage for libFuzzer, which cannot see into the kernel.

use std::sync::atomic::{AtomicU8, Ordering};

/// How many different things can happen to a packet.
const OUTCOMES: usize = 64;

/// libFuzzer takes these for its own counters, and clears them before each input.
#[cfg_attr(
    feature = "libfuzzer",
    expect(unsafe_code, reason = "a place for a static is a promise to the linker"),
    // SAFETY: a section of bytes that libFuzzer knows by its name, and nothing else is in it.
    unsafe(link_section = "__libfuzzer_extra_counters")
)]
static COUNTERS: [AtomicU8; OUTCOMES * OUTCOMES] = [const { AtomicU8::new(0) }; OUTCOMES * OUTCOMES];

/// This was done to a packet after that was done to the one before.
pub fn mark(before: usize, now: usize) {
    if let Some(counter) = COUNTERS.get(before * OUTCOMES + now) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether this was done to any packet so far.
pub fn is_reached(outcome: usize) -> bool {
    let of_it = COUNTERS.iter().skip(outcome).step_by(OUTCOMES);
    of_it
        .into_iter()
        .any(|counter| counter.load(Ordering::Relaxed) > 0)
}
