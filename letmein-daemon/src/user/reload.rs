//! Telling a letmeind that runs of a change.

use crate::instance;
use nix::sys::signal::{Signal, kill};
use std::path::Path;

/// Has the letmeind that runs here, if there is one, read its configuration again.
pub fn ask(configuration: &Path) {
    let path = configuration.display();
    let asked = match instance::running() {
        Ok(None) => return,
        Ok(Some(letmeind)) => kill(letmeind, Signal::SIGHUP)
            .map(|()| letmeind)
            .map_err(Into::into),
        Err(error) => Err(error),
    };
    match asked {
        Ok(letmeind) => eprintln!(
            "The letmeind that runs (process {letmeind}) was asked to read its configuration again; its log says whether \
             it did."
        ),
        Err(error) => eprintln!("{path} is changed, but no running letmeind was told: {error:#}"),
    }
}
