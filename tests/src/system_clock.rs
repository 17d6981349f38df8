//! A system clock of one program only, which can be set while the program runs. Needs Debian's `faketime`.

use anyhow::Context as _;
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
};
use tempfile::TempDir;

/// Where letmeind keeps its state.
const STATE: &str = "/run/letmeind";

/// The clock. It is right at first.
pub struct SystemClock(TempDir);

impl SystemClock {
    /// A clock for a program that [`starter`](Self::starter) starts.
    pub fn new() -> anyhow::Result<Self> {
        // The program may read none but its own folders.
        DirBuilder::new().recursive(true).mode(0o700).create(STATE)?;
        let clock = Self(TempDir::new_in(STATE)?);
        clock.set("+0s")?;
        Ok(clock)
    }

    /// Sets it this far ahead of the machine's: `+1h`, or `-1d` for behind.
    pub fn set(&self, offset: &str) -> anyhow::Result<()> {
        // The program reads the file each time it looks at the clock: there must be no moment when it is empty.
        let next = self.0.path().join("next");
        fs::write(&next, offset)?;
        Ok(fs::rename(next, self.offset())?)
    }

    /// The program and the arguments to start another one by (see [`crate::letmeind::Letmeind::under`]).
    pub fn starter(&self) -> anyhow::Result<Vec<String>> {
        Ok(vec![
            "env".to_owned(),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.offset().display()),
            format!("LD_PRELOAD={}", library()?.display()),
            // The clock in the file is looked at each time, and only the time of day is changed.
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ])
    }

    fn offset(&self) -> PathBuf {
        self.0.path().join("offset")
    }
}

/// Debian has it in a folder of the processor's.
fn library() -> anyhow::Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib")?;
    folders
        .filter_map(Result::ok)
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
        .context("libfaketime is not installed: run `cargo xtask test`")
}
