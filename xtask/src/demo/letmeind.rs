//! A running `letmeind` and its log.

use super::counters::Counters;
use anyhow::{Context as _, bail};
use letmein_tests::lab::Host;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long it has to do what it is asked to.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(20);

/// The process. Dropping this kills it.
pub struct Letmeind {
    process: Child,
    log: PathBuf,
}

impl Letmeind {
    /// Starts `program` on `host` and waits until it serves.
    pub fn start(host: &Host, program: &Path, config: &Path, log: &Path) -> anyhow::Result<Self> {
        let process = host
            .command(&program.to_string_lossy())
            .args(["run", "--config"])
            .arg(config)
            .stderr(File::create(log)?)
            // A group of its own: Ctrl-C at the terminal is for us, who then stop it in order.
            .process_group(0)
            .spawn()
            .context("cannot start letmeind")?;
        let mut started = Self {
            process,
            log: log.to_owned(),
        };
        started.wait_for("ready", 0)?;
        Ok(started)
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Asks for the counters.
    pub fn counters(&mut self) -> anyhow::Result<Counters> {
        let so_far = self.log_text().len();
        self.signal(Signal::SIGUSR1)?;
        let line = self.wait_for("counters ", so_far)?;
        Counters::parse(&line).with_context(|| format!("cannot read letmeind's counters: {line}"))
    }

    /// Asks it to end, and waits for that.
    pub fn stop(mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            sleep(GLANCE);
        }
        bail!("letmeind still runs {PATIENCE:?} after SIGTERM")
    }

    /// All that it has logged.
    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The first whole line with `text` in it, after `skip` bytes of log.
    fn wait_for(&mut self, text: &str, skip: usize) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.process.try_wait()?;
            let log = self.log_text();
            let mut new = log.get(skip..).unwrap_or_default().split_inclusive('\n');
            if let Some(line) = new.find(|line| line.ends_with('\n') && line.contains(text)) {
                return Ok(line.trim_end().to_owned());
            }
            if let Some(status) = ended {
                let last = log.lines().last().unwrap_or("it logged nothing");
                bail!("letmeind ended with {status}: {last}");
            }
            if Instant::now() > deadline {
                bail!("letmeind has not logged {:?} within {PATIENCE:?}", text.trim());
            }
            sleep(GLANCE);
        }
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        // `ip netns exec` becomes the program that it starts, so this is letmeind's own id.
        let pid = Pid::from_raw(self.process.id().cast_signed());
        kill(pid, signal).with_context(|| format!("letmeind does not take {signal}"))
    }
}

impl Drop for Letmeind {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}
