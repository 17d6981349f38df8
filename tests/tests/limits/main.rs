//! Limits: what one sender takes is not missing for another.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod budget;
mod connections;
mod flood;
mod leases;

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Waits until this is so.
#[track_caller]
fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not within 30 s");
        sleep(Duration::from_millis(20));
    }
}
