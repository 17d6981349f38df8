//! A BPF file system of a test's own: `ip netns exec` hides the machine's.

use anyhow::{Context as _, ensure};
use std::{path::PathBuf, process::Command};
use tempfile::TempDir;

/// Mounted until it is dropped, with all that is pinned there.
pub struct BpfFs(TempDir);

impl BpfFs {
    /// Mounts it. Needs root.
    pub fn mount() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let mounted = Command::new("mount")
            .args(["-t", "bpf", "bpf"])
            .arg(folder.path())
            .status()
            .context("cannot start mount")?;
        ensure!(
            mounted.success(),
            "cannot mount a BPF file system: run the tests as root"
        );
        Ok(Self(folder))
    }

    /// A folder in it that letmeind may make, as a line of its configuration.
    #[must_use]
    pub fn setting(&self) -> String {
        format!("pin-directory = \"{}\"", self.pins().display())
    }

    /// The folder that letmeind makes.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.0.path().join("letmein")
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        // Lazily: a letmeind that ends with the test may still have it open.
        let _gone = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
