//! What outlives the process: the map of the nonces that were accepted, pinned in a BPF file system.

use super::error::XdpError;
use aya::maps::{MapInfo, MapType};
use letmein_common::maps::NonceKey;
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};
use tracing::warn;

/// The name of the pinned map. The number changes with the meaning of its elements.
const NONCES: &str = "nonces-1";

/// The place of the map.
pub(super) struct Pinned {
    pub path: PathBuf,
    /// The map of an earlier run is there, and can be gone on with.
    pub exists: bool,
}

/// Makes the folder, for root only, and looks for the map of an earlier run. One that cannot hold `capacity` nonces of
/// ours is removed: it is made anew, and remembers nothing.
pub(super) fn prepare(folder: &Path, capacity: u32) -> Result<Pinned, XdpError> {
    let failed = |source: io::Error| XdpError::Pin {
        folder: folder.to_owned(),
        source,
    };
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let file_system = statfs(folder).map_err(|errno| failed(errno.into()))?;
    if file_system.filesystem_type() != BPF_FS_MAGIC {
        return Err(failed(io::Error::other("it is in no BPF file system")));
    }
    let path = folder.join(NONCES);
    let exists = path.exists();
    if exists && !fits(&path, capacity) {
        warn!(
            "{} is not the map that this configuration needs (was seen-salts changed?): it is made anew",
            path.display()
        );
        fs::remove_file(&path).map_err(failed)?;
        return Ok(Pinned { path, exists: false });
    }
    Ok(Pinned { path, exists })
}

fn fits(path: &Path, capacity: u32) -> bool {
    let Ok(found) = MapInfo::from_pin(path) else {
        return false;
    };
    matches!(found.map_type(), Ok(MapType::LruHash))
        && usize::try_from(found.key_size()) == Ok(size_of::<NonceKey>())
        && found.value_size() == 1
        && found.max_entries() == capacity
}

/// Removes what an earlier run has pinned: what is accepted from now on will not be recorded there.
pub fn forget(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(NONCES)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
