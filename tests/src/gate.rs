//! A running `letmeind`, and `letmein` to knock on it.

use crate::lab::Host;
use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// The key of user 00000001, everywhere.
pub const KEY: [u8; 32] = [0x5A; 32];
/// How long a daemon has to say something.
const PATIENCE: Duration = Duration::from_secs(20);

/// The daemon, with `tcp/22` as resource 00000001 of user 00000001.
pub struct Gate {
    process: Child,
    log: Receiver<String>,
    folder: TempDir,
}

impl Gate {
    /// Starts it. `gate` and `firewall` are lines for these sections of its configuration, `lease` is the
    /// resource's.
    pub fn start(host: &Host, gate: &str, firewall: &str, lease: &str) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        write_key(&folder.path().join("alice.key"), &KEY)?;
        let config = folder.path().join("letmeind.toml");
        fs::write(
            &config,
            format!(
                "[gate]\ninterfaces = [\"to-peer1\", \"to-peer2\"]\n{gate}\n[firewall]\n{firewall}\n\
                 [resources.ssh]\nid = \"00000001\"\nports = [\"tcp/22\"]\nlease = \"{lease}\"\n\
                 [resources.admin]\nid = \"00000002\"\nports = [\"tcp/23\"]\n\
                 [users.alice]\nid = \"00000001\"\nkey-file = \"alice.key\"\nresources = [\"ssh\"]\n"
            ),
        )?;
        let program = program("letmeind")?;
        let mut process = host
            .command(&program.to_string_lossy())
            .args(["run", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = process.stderr.take().context("stderr was piped")?;
        let (sender, log) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("letmeind: {line}");
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut started = Self { process, log, folder };
        started.wait_for("ready")?;
        Ok(started)
    }

    /// The next line of the log with this text.
    pub fn wait_for(&mut self, text: &str) -> anyhow::Result<String> {
        loop {
            let line = self
                .log
                .recv_timeout(PATIENCE)
                .with_context(|| format!("waiting for {text:?}"))?;
            if line.contains(text) {
                return Ok(line);
            }
        }
    }

    /// The counters by name, as the daemon logs them when asked by SIGUSR1.
    pub fn counters(&mut self) -> anyhow::Result<HashMap<String, u64>> {
        self.signal(Signal::SIGUSR1)?;
        let line = self.wait_for("counters ")?;
        let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
        pairs
            .map(|(name, count)| Ok((name.to_owned(), count.parse()?)))
            .collect()
    }

    /// Stops it and waits for it.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)?;
        let status = self.process.wait()?;
        if !status.success() {
            bail!("letmeind ended with {status}");
        }
        Ok(())
    }

    /// Runs `letmein` on `host` against `server`, with the right key or another, and returns its exit code.
    pub fn letmein(
        &self,
        host: &Host,
        server: &str,
        key: &[u8; 32],
        arguments: &[&str],
    ) -> anyhow::Result<i32> {
        write_key(&self.folder.path().join("client.key"), key)?;
        let config = self.folder.path().join("letmein.toml");
        fs::write(
            &config,
            format!(
                "[servers.gate]\nhost = \"{server}\"\nuser = \"00000001\"\ntimeout = \"2s\"\nkey-file = \
                 \"client.key\"\n[servers.gate.resources]\nssh = {{ id = \"00000001\", port = 22 }}\n"
            ),
        )?;
        let program = program("letmein")?;
        let status = host
            .command(&program.to_string_lossy())
            .arg("-c")
            .arg(&config)
            .args(arguments)
            .status()?;
        status.code().context("letmein was killed")
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        // `ip netns exec` becomes the program it starts, so this is the daemon's own id.
        Ok(kill(Pid::from_raw(self.process.id().cast_signed()), signal)?)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn write_key(path: &Path, key: &[u8; 32]) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    for byte in key {
        write!(file, "{byte:02x}")?;
    }
    Ok(())
}

/// A program of ours, beside the test's own.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let found = this
        .ancestors()
        .skip(1)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run `cargo xtask test`"))
}
