//! Telling a letmeind that runs of a change.

use crate::instance::Instance;
use std::path::Path;

/// Says what it takes for the change to count, if a letmeind runs here.
pub fn tell(configuration: &Path) {
    if Instance::claim().is_err() {
        let path = configuration.display();
        eprintln!("letmeind runs: restart it, so that it reads {path} again. Leases survive that.");
    }
}
