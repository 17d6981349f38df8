//! What an earlier run has left attached and pinned.

use super::{
    error::XdpError,
    hooks::{detach, name_of},
    pin::Pins,
};
use std::{fs, path::Path};
use tracing::info;

/// Whether an earlier run has left anything attached.
pub fn is_attached(folder: &Path) -> Result<bool, XdpError> {
    Pins::existing(folder)?.map_or(Ok(false), |pins| Ok(!pins.links()?.is_empty()))
}

/// Detaches what an earlier run has left attached, and removes all that it has pinned, and the folder. Returns whether
/// there was anything.
pub fn remove(folder: &Path) -> Result<bool, XdpError> {
    let found = forget(folder)?;
    if found {
        // Another network namespace may have links there.
        let _in_use = fs::remove_dir(folder);
    }
    Ok(found)
}

/// The same, but leaves the folder: one who is in a sandbox could not make it again.
pub fn forget(folder: &Path) -> Result<bool, XdpError> {
    let Some(pins) = Pins::existing(folder)? else {
        return Ok(false);
    };
    for pin in pins.links()? {
        detach(&pin).map_err(|source| pins.failed(source))?;
        let interface = name_of(&pin);
        info!(
            event = "detached",
            interface, "XDP program detached from {interface}"
        );
    }
    pins.remove_records().map_err(|source| pins.failed(source))?;
    Ok(true)
}
