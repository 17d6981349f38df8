//! What outlives the process, in a folder of a BPF file system: the records of what was accepted, so that nothing is
//! accepted twice, and the links that hold the program on its interfaces.

use super::{attach::Mode, error::XdpError, link::BpfLink};
use crate::instance;
use aya::maps::{MapData, MapInfo, MapType};
use letmein_common::{
    UserId,
    account::Account,
    maps::{NonceKey, SaltKey},
};
use nix::{
    sys::statfs::{BPF_FS_MAGIC, statfs},
    unistd::geteuid,
};
use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};
use tracing::warn;

/// A record that is pinned. The number in the name changes with the meaning of its elements.
#[derive(Clone, Copy)]
pub(super) struct Record {
    file: &'static str,
    /// What it was called in earlier versions. If such a file is there, one of them may have run last, and then nobody has
    /// gone on with the record that is called so now.
    former: &'static [&'static str],
    kind: MapType,
    flags: u32,
    key_size: usize,
    value_size: usize,
}

/// All of them.
pub(super) const RECORDS: [Record; 3] = [NONCES, SALTS, ACCOUNTS];
/// The nonces of the silent knocks that were accepted.
pub(super) const NONCES: Record = Record {
    file: "nonces-2",
    former: &["nonces-1"],
    kind: MapType::Hash,
    flags: BPF_F_NO_PREALLOC,
    key_size: size_of::<NonceKey>(),
    value_size: size_of::<u64>(),
};
/// The salts of the challenge knocks that were.
pub(super) const SALTS: Record = Record {
    file: "salts-1",
    former: &[],
    kind: MapType::LruHash,
    flags: 0,
    key_size: size_of::<SaltKey>(),
    value_size: 1,
};
/// What is remembered about users. Each program has a map of its own, with what was in the one before.
pub(super) const ACCOUNTS: Record = Record {
    file: "accounts-1",
    former: &[],
    kind: MapType::Hash,
    flags: 0,
    key_size: size_of::<UserId>(),
    value_size: size_of::<Account>(),
};

/// The folder.
#[derive(Clone, Debug)]
pub struct Pins {
    folder: PathBuf,
    /// The network namespace: others may use the same folder, with interfaces of the same numbers.
    namespace: u64,
}

/// The place of a record.
pub(super) struct PinnedMap {
    pub path: PathBuf,
    /// The map of an earlier run is there, and can be gone on with.
    pub exists: bool,
}

/// A link that is pinned.
pub(super) struct PinnedLink {
    pub path: PathBuf,
    /// The number of the interface that it was made for.
    pub interface: u32,
    /// What the configuration said then.
    pub mode: Mode,
}

impl Pins {
    /// Makes the folder, for root only.
    pub fn open(folder: &Path) -> Result<Self, XdpError> {
        make(folder).map_err(|source| XdpError::Pin {
            folder: folder.to_owned(),
            source,
        })
    }

    /// The folder, if an earlier run has made it.
    pub(super) fn existing(folder: &Path) -> Result<Option<Self>, XdpError> {
        let look = || {
            if !folder.try_exists()? {
                return Ok(None);
            }
            Ok(Some(Self {
                folder: folder.to_owned(),
                namespace: instance::namespace().map_err(io::Error::other)?,
            }))
        };
        look().map_err(|source| XdpError::Pin {
            folder: folder.to_owned(),
            source,
        })
    }

    /// Looks for the map of an earlier run. One that cannot hold `capacity` elements of ours is removed: it is made anew,
    /// and remembers nothing.
    pub(super) fn map(&self, record: Record, capacity: u32) -> Result<PinnedMap, XdpError> {
        let path = self.record(record);
        let former = self.remove_former(record).map_err(|source| self.failed(source))?;
        let exists = path.exists();
        if exists && (former || !fits(&path, record, capacity)) {
            warn!(
                "{} is not the map that this configuration needs (was seen-salts changed?): it is made anew",
                path.display()
            );
            fs::remove_file(&path).map_err(|source| self.failed(source))?;
            return Ok(PinnedMap { path, exists: false });
        }
        Ok(PinnedMap { path, exists })
    }

    /// The map of an earlier run, to be read, if there is one of this kind.
    pub(super) fn earlier(&self, record: Record) -> Option<MapData> {
        let path = self.record(record);
        let found = MapInfo::from_pin(&path).ok()?;
        is_of(&found, record).then(|| MapData::from_pin(&path).ok())?
    }

    /// Removes what earlier versions have pinned for this record; `true` if there was anything.
    fn remove_former(&self, record: Record) -> io::Result<bool> {
        let mut found = false;
        for file in record.former {
            match fs::remove_file(self.folder.join(file)) {
                Ok(()) => found = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Where the link for this interface is pinned.
    pub(super) fn link(&self, interface: u32, mode: Mode) -> PinnedLink {
        let name = format!("link-{}-{interface}-{}", self.namespace, mode.name());
        PinnedLink {
            path: self.folder.join(name),
            interface,
            mode,
        }
    }

    /// All links of this network namespace. Those that hold nothing any more, as their interface is gone, are removed,
    /// whosever they were.
    pub(super) fn links(&self) -> Result<Vec<PinnedLink>, XdpError> {
        let links = || {
            let mut links = Vec::new();
            for entry in fs::read_dir(&self.folder)? {
                let name = entry?.file_name();
                let Some((namespace, interface, mode)) = name.to_str().and_then(parse) else {
                    continue;
                };
                let path = self.folder.join(&name);
                match BpfLink::open(&path).and_then(|link| link.info()) {
                    Ok(info) if info.interface.is_none() => fs::remove_file(&path)?,
                    Ok(_) if namespace == self.namespace => links.push(PinnedLink {
                        path,
                        interface,
                        mode,
                    }),
                    Ok(_) => {}
                    // Somebody else has just removed it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(links)
        };
        links().map_err(|source| self.failed(source))
    }

    /// The error about something in this folder.
    pub(super) fn failed(&self, source: io::Error) -> XdpError {
        XdpError::Pin {
            folder: self.folder.clone(),
            source,
        }
    }

    /// Where this record is pinned.
    pub(super) fn record(&self, record: Record) -> PathBuf {
        self.folder.join(record.file)
    }

    /// The map that is pinned.
    pub(super) fn open_record(&self, record: Record) -> Result<MapData, XdpError> {
        MapData::from_pin(self.record(record)).map_err(|error| self.failed(io::Error::other(error)))
    }

    /// Pins this map as the record, if another one is pinned there.
    pub(super) fn keep(&self, record: Record, map: &MapData) -> Result<(), XdpError> {
        let path = self.record(record);
        let other = |error| self.failed(io::Error::other(error));
        let ours = map.info().map_err(other)?.id();
        if MapInfo::from_pin(&path).is_ok_and(|pinned| pinned.id() == ours) {
            return Ok(());
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.failed(error)),
            _ => {}
        }
        map.pin(&path)
            .map_err(|error| self.failed(io::Error::other(error)))
    }

    /// Removes the records: what is accepted from now on will not be noted there.
    pub(super) fn remove_records(&self) -> io::Result<()> {
        for record in RECORDS {
            self.remove_former(record)?;
            match fs::remove_file(self.record(record)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn make(folder: &Path) -> io::Result<Pins> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Anybody may make a folder in some BPF file systems.
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        return Err(io::Error::other("it is there, but it is not a folder of root's"));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    if statfs(folder)?.filesystem_type() != BPF_FS_MAGIC {
        // Where it does not belong it is of no use to anybody.
        let _in_use = fs::remove_dir(folder);
        return Err(io::Error::other("it is in no BPF file system"));
    }
    Ok(Pins {
        folder: folder.to_owned(),
        namespace: instance::namespace().map_err(io::Error::other)?,
    })
}

fn fits(path: &Path, record: Record, capacity: u32) -> bool {
    let Ok(found) = MapInfo::from_pin(path) else {
        return false;
    };
    // A record that others make way in is as large as it should be; any other is large enough.
    let suits = match record.kind {
        MapType::LruHash => found.max_entries() == capacity,
        _ => found.max_entries() >= capacity,
    };
    suits && is_of(&found, record)
}

/// Whether this is a map for such a record, of whatever size.
fn is_of(found: &MapInfo, record: Record) -> bool {
    found.map_type().is_ok_and(|kind| kind == record.kind)
        && found.map_flags() == record.flags
        && usize::try_from(found.key_size()) == Ok(record.key_size)
        && usize::try_from(found.value_size()) == Ok(record.value_size)
}

/// Of `linux/bpf.h`.
const BPF_F_NO_PREALLOC: u32 = 1;

/// Reads the name of a link's pin.
fn parse(name: &str) -> Option<(u64, u32, Mode)> {
    let mut parts = name.strip_prefix("link-")?.splitn(3, '-');
    let namespace = parts.next()?.parse().ok()?;
    let interface = parts.next()?.parse().ok()?;
    Some((namespace, interface, Mode::from_name(parts.next()?)?))
}
