//! `letmeind` before it runs: where, with which configuration, and under which program that changes its surroundings.

use crate::{
    gate::{Gate, KEY, PATIENCE, program, write_key},
    lab::Host,
};
use anyhow::{bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The operator's socket, in the folder of the configuration.
pub(crate) const SOCKET: &str = "letmeind.sock";

/// Who the gatekeeper is: a number that needs no entry in `/etc/passwd`.
pub const NOBODY: u32 = 61_734;

/// A daemon to be started.
pub struct Letmeind<'a> {
    host: &'a Host,
    folder: TempDir,
    under: Vec<String>,
}

/// What a daemon that did not start left behind.
#[derive(Debug)]
pub struct Failure {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Its standard error.
    pub log: String,
}

impl<'a> Letmeind<'a> {
    /// With this configuration, next to which lies `alice.key` with [`KEY`], and [complete].
    pub fn new(host: &'a Host, configuration: &str) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        write_key(&folder.path().join("alice.key"), &KEY)?;
        fs::write(
            folder.path().join("letmeind.toml"),
            complete(configuration, folder.path()),
        )?;
        let under = Vec::new();
        Ok(Self { host, folder, under })
    }

    /// The key file.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("alice.key")
    }

    /// Started by this program, which gets the daemon's command line after these arguments of its own and has to
    /// become it (`exec`), so that signals reach the daemon.
    #[must_use]
    pub fn under(mut self, program_and_arguments: &[&str]) -> Self {
        self.under = program_and_arguments
            .iter()
            .map(|&word| word.to_owned())
            .collect();
        self
    }

    /// `letmeind VERB --config FILE`.
    pub fn command(&self, verb: &str) -> anyhow::Result<Command> {
        let letmeind = program("letmeind")?.to_string_lossy().into_owned();
        let words: Vec<_> = self.under.iter().cloned().chain([letmeind]).collect();
        let mut command = self.host.command(&words[0]);
        command
            .args(&words[1..])
            .args([verb, "--config"])
            .arg(self.folder.path().join("letmeind.toml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Ok(command)
    }

    /// What `letmeind check` says of the configuration on this host.
    pub fn check(&self) -> anyhow::Result<String> {
        let mut command = self.host.command(&program("letmeind")?.to_string_lossy());
        let output = command
            .arg("check")
            .arg(self.folder.path().join("letmeind.toml"))
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{said}");
        Ok(said)
    }

    /// Starts it and waits until it serves.
    pub fn start(self) -> anyhow::Result<Gate> {
        Gate::spawn(self.command("run")?, self.folder)
    }

    /// Starts it and waits until it says this, on its way to serving.
    pub fn start_and_wait_for(self, text: &str) -> anyhow::Result<Gate> {
        Gate::spawn_and_wait_for(self.command("run")?, self.folder, text)
    }

    /// Starts it and waits until it ends, as it has to.
    pub fn fail(self) -> anyhow::Result<Failure> {
        let Output { status, stderr, .. } = self.wait()?;
        let log = String::from_utf8_lossy(&stderr).into_owned();
        eprint!("{log}");
        let code = status.code();
        Ok(Failure { code, log })
    }

    /// Removes what it left in the firewall.
    pub fn down(&self) -> anyhow::Result<()> {
        let Output { status, stderr, .. } = self.command("down")?.output()?;
        ensure!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        Ok(())
    }

    fn wait(&self) -> anyhow::Result<Output> {
        let mut process = self.command("run")?.spawn()?;
        let deadline = Instant::now() + PATIENCE;
        while process.try_wait()?.is_none() {
            if Instant::now() > deadline {
                process.kill()?;
                process.wait()?;
                bail!("letmeind runs, which it should not");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(process.wait_with_output()?)
    }
}

/// The configuration as it is written to this folder: its gatekeeper is a user of no name, and its operator's socket is
/// there (many run at the same time), unless it says something about that.
#[must_use]
pub fn complete(configuration: &str, folder: &Path) -> String {
    let mut text = configuration.to_owned();
    if !text.contains("[daemon]") {
        text += &["\n[daemon]\nuser = \"", &NOBODY.to_string(), "\"\n"].concat();
    }
    if !text.contains("[operator]") {
        let socket = folder.join(SOCKET).display().to_string();
        text += &["\n[operator]\nsocket = \"", &socket, "\"\n"].concat();
    }
    text
}

impl Failure {
    /// The only error in the log; anything else that is logged is no error.
    pub fn error(&self) -> anyhow::Result<&str> {
        let mut errors = self.log.split(" ERROR ").skip(1);
        match (errors.next(), errors.next()) {
            (Some(error), None) => Ok(error.trim_end()),
            _ => bail!("this is not one error: {}", self.log),
        }
    }
}
