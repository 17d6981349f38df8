//! A system clock of one program only, which can be set while the program runs. Needs Debian's `faketime`.

use crate::letmeind::Letmeind;
use anyhow::Context as _;
use std::{fs, path::PathBuf};

/// The clock. It is right at first.
pub struct SystemClock {
    /// The file that tells how far it is off.
    offset: PathBuf,
}

impl SystemClock {
    /// A clock for this daemon, if [`starter`](Self::starter) starts it: next to its configuration, as its sandbox keeps
    /// other files away.
    pub fn of(letmeind: &Letmeind<'_>) -> anyhow::Result<Self> {
        let offset = letmeind.key_file().with_file_name("offset");
        let clock = Self { offset };
        clock.set("+0s")?;
        Ok(clock)
    }

    /// Sets it this far ahead of the machine's: `+1h`, or `-1d` for behind.
    pub fn set(&self, offset: &str) -> anyhow::Result<()> {
        // The program reads the file each time it looks at the clock: there must be no moment when it is empty.
        let next = self.offset.with_extension("next");
        fs::write(&next, offset)?;
        Ok(fs::rename(next, &self.offset)?)
    }

    /// The program and the arguments to start another one by (see [`crate::letmeind::Letmeind::under`]).
    pub fn starter(&self) -> anyhow::Result<Vec<String>> {
        Ok(vec![
            "env".to_owned(),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.offset.display()),
            format!("LD_PRELOAD={}", library()?.display()),
            // The clock in the file is looked at each time, and only the time of day is changed.
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ])
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
