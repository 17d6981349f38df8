//! A server of somebody else's, which ends with its owner.

use anyhow::bail;
use nix::unistd::Pid;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(20);

/// It runs.
pub struct Running {
    process: Child,
    log: PathBuf,
}

impl Running {
    /// What it says goes to this file.
    pub fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let file = File::create(log)?;
        command.stdout(file.try_clone()?).stderr(file);
        Ok(Self {
            process: command.spawn()?,
            log: log.to_owned(),
        })
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    /// Waits until it has said this.
    pub fn wait_for(&self, text: &str) -> anyhow::Result<()> {
        self.wait_until(|| Ok(fs::read_to_string(&self.log)?.contains(text)))
    }

    /// Waits until it is ready.
    pub fn wait_until(&self, ready: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !ready()? {
            if Instant::now() > deadline {
                bail!("it does not start: {}", fs::read_to_string(&self.log)?);
            }
            sleep(GLANCE);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}
