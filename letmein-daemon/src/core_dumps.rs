//! No core dumps: a crash must not write keys to a disk.

use anyhow::Context as _;
use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};

/// Switches them off for this process, which then cannot be read by others of its user either, and for its children.
pub fn switch_off() -> anyhow::Result<()> {
    // The limit alone does not stop a kernel that hands core dumps to a program.
    prctl::set_dumpable(false)
        .and_then(|()| setrlimit(Resource::RLIMIT_CORE, 0, 0))
        .context("core dumps, which would have keys in them, cannot be switched off")
}
