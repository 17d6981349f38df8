//! One `letmeind` for each network namespace: a second one, with another configuration, would close the leases of the
//! first and let go of ports that the first protects.

use anyhow::{Context as _, bail};
use nix::{
    sys::stat::{major, minor},
    unistd::Pid,
};
use std::{
    fs::{self, DirBuilder, File, Metadata, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// Where the locks are; only root gets there.
pub const FOLDER: &str = "/run/letmeind";
/// The network namespace of this thread.
const NAMESPACE: &str = "/proc/thread-self/ns/net";
/// Every lock on a file.
const LOCKS: &str = "/proc/locks";

/// The right to be the only one. The kernel ends it with the process, however that ends.
#[derive(Debug)]
pub struct Instance {
    namespace: u64,
    #[expect(dead_code, reason = "it is locked while it is open")]
    lock: File,
}

impl Instance {
    /// Claims this network namespace.
    pub fn claim() -> anyhow::Result<Self> {
        let namespace = namespace()?;
        match DirBuilder::new().mode(0o700).create(FOLDER) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot make {FOLDER}; run letmeind as root"));
            }
            _ => {}
        }
        let path = lock_file(namespace);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open {}; run letmeind as root", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                namespace,
                lock: file,
            }),
            Err(TryLockError::WouldBlock) => bail!(
                "another letmeind runs here already (`fuser {}` tells which); stop it first",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// Where this instance leaves the keys of its leases to the next one.
    #[must_use]
    pub fn remembered(&self) -> PathBuf {
        Path::new(FOLDER).join(format!("netns-{}.leases", self.namespace))
    }

    /// Where it notes up to which suspension the leases in the kernel are right.
    #[must_use]
    pub fn asleep(&self) -> PathBuf {
        Path::new(FOLDER).join(format!("netns-{}.asleep", self.namespace))
    }
}

/// Where the instance in this network namespace, if it is on trial, waits to be confirmed.
pub fn confirmation() -> anyhow::Result<PathBuf> {
    Ok(Path::new(FOLDER).join(format!("netns-{}.confirm", namespace()?)))
}

/// The process that serves in this network namespace, if there is one. Claims nothing, so that nobody's start is in the
/// way of this.
pub fn running() -> anyhow::Result<Option<Pid>> {
    let lock = match fs::metadata(lock_file(namespace()?)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("cannot look for another letmeind; run as root"),
    };
    let locks =
        fs::read_to_string(LOCKS).with_context(|| format!("cannot read {LOCKS}; is /proc mounted?"))?;
    Ok(holder(&locks, &lock))
}

/// Who holds the lock on this file, by the kernel's list (proc(5)): `1: FLOCK  ADVISORY  WRITE PID MAJOR:MINOR:INODE 0 EOF`.
fn holder(locks: &str, file: &Metadata) -> Option<Pid> {
    let file = format!(
        "{:02x}:{:02x}:{}",
        major(file.dev()),
        minor(file.dev()),
        file.ino()
    );
    locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, "WRITE", pid, of, ..] if of == file => pid.parse().ok().map(Pid::from_raw),
            _ => None,
        }
    })
}

fn lock_file(namespace: u64) -> PathBuf {
    Path::new(FOLDER).join(format!("netns-{namespace}.lock"))
}

/// The number of this thread's network namespace.
pub fn namespace() -> anyhow::Result<u64> {
    let namespace =
        fs::metadata(NAMESPACE).with_context(|| format!("cannot read {NAMESPACE}; is /proc mounted?"))?;
    Ok(namespace.ino())
}

#[cfg(test)]
mod tests {
    use super::{Instance, running};
    use nix::unistd::Pid;

    /// As root; what else there is to it shows `tests/tests/failures/main.rs::a_second_letmeind`.
    #[test]
    fn only_one_at_a_time() {
        assert_eq!(running().unwrap(), None);
        let first = Instance::claim().unwrap();
        assert_eq!(running().unwrap(), Some(Pid::this()));
        let second = Instance::claim().unwrap_err().to_string();
        assert!(
            second.starts_with("another letmeind runs here already"),
            "{second}"
        );
        drop(first);
        Instance::claim().unwrap();
    }
}
