//! Telling a letmeind that runs of a change.

use crate::instance;
use std::path::Path;

/// Says what it takes for the change to count, if a letmeind runs here.
pub fn tell(configuration: &Path) {
    let path = configuration.display();
    match instance::running() {
        Ok(None) => {}
        Ok(Some(_)) => {
            eprintln!("letmeind runs: restart it, so that it reads {path} again. Leases survive that.")
        }
        Err(error) => eprintln!("whether a letmeind runs is not known: {error:#}"),
    }
}
