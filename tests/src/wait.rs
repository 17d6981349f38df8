//! Waiting for what has to become so.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Far longer than anything takes, on a busy machine or an emulated one.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `so`. That it never comes to that is told as `what`.
///
/// # Panics
///
/// After a minute.
#[track_caller]
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(20));
    }
}
