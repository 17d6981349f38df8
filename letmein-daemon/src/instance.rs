//! One `letmeind` for each network namespace: a second one, with another configuration, would close the leases of the
//! first and let go of ports that the first protects.

use anyhow::{Context as _, bail};
use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// Where the locks are; only root gets there.
pub const FOLDER: &str = "/run/letmeind";
/// The network namespace of this thread.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

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
        let path = Path::new(FOLDER).join(format!("netns-{namespace}.lock"));
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
}

/// Where the instance in this network namespace, if it is on trial, waits to be confirmed.
pub fn confirmation() -> anyhow::Result<PathBuf> {
    Ok(Path::new(FOLDER).join(format!("netns-{}.confirm", namespace()?)))
}

/// The number of this thread's network namespace.
pub fn namespace() -> anyhow::Result<u64> {
    let namespace =
        fs::metadata(NAMESPACE).with_context(|| format!("cannot read {NAMESPACE}; is /proc mounted?"))?;
    Ok(namespace.ino())
}

#[cfg(test)]
mod tests {
    use super::Instance;

    /// As root; what else there is to it shows `tests/tests/failures/main.rs::a_second_letmeind`.
    #[test]
    fn only_one_at_a_time() {
        let first = Instance::claim().unwrap();
        let second = Instance::claim().unwrap_err().to_string();
        assert!(
            second.starts_with("another letmeind runs here already"),
            "{second}"
        );
        drop(first);
        Instance::claim().unwrap();
    }
}
