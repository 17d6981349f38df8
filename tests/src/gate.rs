//! A running `letmeind`, and `letmein` to knock on it.

use crate::{
    lab::Host,
    letmeind::{Failure, Letmeind, SOCKET},
};
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
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The key of user 00000001, everywhere.
pub const KEY: [u8; 32] = [0x5A; 32];
/// How long a daemon has to say something.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

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
        Self::start_with(host, &configuration(gate, firewall, lease))
    }

    /// Starts it with this configuration, next to which lies `alice.key` with [`KEY`], and waits until it serves.
    pub fn start_with(host: &Host, configuration: &str) -> anyhow::Result<Self> {
        Letmeind::new(host, configuration)?.start()
    }

    /// Starts it with the configuration that is in this file, and waits until it serves.
    pub fn start_from(host: &Host, configuration: &Path) -> anyhow::Result<Self> {
        let mut command = host.command(&program("letmeind")?.to_string_lossy());
        command
            .args(["run", "--config"])
            .arg(configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self::spawn(command, TempDir::new()?)
    }

    /// Starts it by this command, whose standard error is piped, and waits until it serves.
    pub(crate) fn spawn(command: Command, folder: TempDir) -> anyhow::Result<Self> {
        Self::spawn_and_wait_for(command, folder, "")
    }

    /// The same, but it has to say this before it serves.
    pub(crate) fn spawn_and_wait_for(
        mut command: Command,
        folder: TempDir,
        text: &str,
    ) -> anyhow::Result<Self> {
        let mut process = command.spawn()?;
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
        if !text.is_empty() {
            started.wait_for(text)?;
        }
        started.wait_for("ready")?;
        Ok(started)
    }

    /// Starts it with a configuration that it cannot run with. Returns how it ended, and what it said.
    pub fn fail_with(host: &Host, configuration: &str) -> anyhow::Result<Failure> {
        Letmeind::new(host, configuration)?.fail()
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        // `ip netns exec` becomes the program it starts, so this is the daemon's own id.
        Pid::from_raw(self.process.id().cast_signed())
    }

    /// The operator's socket, unless the configuration names another.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// `letmeind VERB --socket …` with these arguments.
    pub fn operate(&self, verb: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(program("letmeind")?);
        command
            .args([verb, "--socket"])
            .arg(self.socket())
            .args(arguments);
        Ok(command.stdin(Stdio::null()).output()?)
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

    /// The lines of the log that nobody has waited for yet.
    pub fn log_so_far(&mut self) -> Vec<String> {
        self.log.try_iter().collect()
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

    /// Holds it: it does nothing until [`go_on`](Self::go_on).
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)
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

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("letmeind runs on");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as a crash does, without a chance to tidy up, and waits for it.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.process.wait()?;
        Ok(())
    }

    /// Ends it as a panic does, and tells how it ended.
    pub fn crash(mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::SIGABRT)?;
        Ok(self.process.wait()?)
    }

    /// Runs `letmein` on `host` against `server`, with the right key or another, and returns its exit code.
    pub fn letmein(
        &self,
        host: &Host,
        server: &str,
        key: &[u8; 32],
        arguments: &[&str],
    ) -> anyhow::Result<i32> {
        let configuration = format!(
            "[servers.gate]\nhost = \"{server}\"\nuser = \"00000001\"\ntimeout = \"2s\"\nkey-file = \"alice.key\"\n\
             [servers.gate.resources]\nssh = {{ id = \"00000001\", port = 22 }}\n"
        );
        letmein(host, &configuration, key, arguments)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(self.pid(), signal)?)
    }
}

/// `letmein` and its configuration.
pub struct Client {
    program: PathBuf,
    folder: TempDir,
}

impl Client {
    /// With this configuration, next to which lies `alice.key` with `key`.
    pub fn new(configuration: &str, key: &[u8; 32]) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        write_key(&folder.path().join("alice.key"), key)?;
        fs::write(folder.path().join("letmein.toml"), configuration)?;
        Ok(Self {
            program: program("letmein")?,
            folder,
        })
    }

    /// Runs it in this thread's namespace.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("-c")
            .arg(self.folder.path().join("letmein.toml"))
            .args(arguments)
            .stdin(Stdio::null());
        command
    }
}

/// Runs `letmein` on `host` with this configuration, next to which lies `alice.key` with `key`. Returns its exit code.
pub fn letmein(host: &Host, configuration: &str, key: &[u8; 32], arguments: &[&str]) -> anyhow::Result<i32> {
    let client = Client::new(configuration, key)?;
    let status = host.enter(|| client.command(arguments).status())??;
    status.code().context("letmein was killed")
}

/// The configuration that most tests use: `tcp/22` is resource 00000001 and alice's, `tcp/23` is 00000002 and nobody's.
/// `gate` and `firewall` are further lines for these sections, `lease` is that of `tcp/22`.
#[must_use]
pub fn configuration(gate: &str, firewall: &str, lease: &str) -> String {
    format!(
        "[gate]\ninterfaces = [\"to-peer1\", \"to-peer2\"]\n{gate}\n[firewall]\n{firewall}\n\
         [resources.ssh]\nid = \"00000001\"\nports = [\"tcp/22\"]\nlease = \"{lease}\"\n\
         [resources.admin]\nid = \"00000002\"\nports = [\"tcp/23\"]\n\
         [users.alice]\nid = \"00000001\"\nkey-file = \"alice.key\"\nresources = [\"ssh\"]\n"
    )
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Writes a key file as the programs demand it.
pub(crate) fn write_key(path: &Path, key: &[u8; 32]) -> anyhow::Result<()> {
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

/// What was built beside the test itself: a program of ours, or something else in the target folder.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let found = this
        .ancestors()
        .skip(1)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run `cargo xtask test`"))
}
