//! A host with files of its own: what is written below /etc, /usr and root's home is gone with it.

use crate::{document::top, gate::program, lab::Host};
use anyhow::{Context as _, bail, ensure};
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// Lays a changeable copy over each of the folders that follow the first word, which is an empty folder to keep the
/// changes in, has our programs ($LETMEIN and $LETMEIND) where a package puts them, and stays until standard input ends.
const MOVE_IN: &str = "set -e
changes=$1; shift
mount -t tmpfs none \"$changes\"
for folder; do
    mkdir -p \"$changes/upper$folder\" \"$changes/work$folder\"
    mount -t overlay -o \"lowerdir=$folder,upperdir=$changes/upper$folder,workdir=$changes/work$folder\" none \"$folder\"
done
rm -rf /etc/letmein /root/.config/letmein
ln -sf \"$LETMEIN\" /usr/bin/letmein
ln -sf \"$LETMEIND\" /usr/sbin/letmeind
mount -t bpf none /sys/fs/bpf
mount -t tmpfs -o mode=755 none /run
echo moved in
exec cat >/dev/null";

/// The folders whose changes are its own.
const FOLDERS: &[&str] = &["/etc", "/usr", "/root"];

/// Files of its own on the network of a host.
pub struct Household {
    holder: Child,
    _changes: TempDir,
}

impl Household {
    /// Moves in. Needs root.
    pub fn on(host: &Host) -> anyhow::Result<Self> {
        let changes = TempDir::new()?;
        let mut holder = host
            .command("sh")
            .args(["-c", MOVE_IN, "sh"])
            .arg(changes.path())
            .args(FOLDERS)
            .env("LETMEIN", program("letmein")?)
            .env("LETMEIND", program("letmeind")?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        let stdout = holder.stdout.take().context("stdout was piped")?;
        BufReader::new(stdout).read_line(&mut said)?;
        let household = Self {
            holder,
            _changes: changes,
        };
        ensure!(
            said == "moved in\n",
            "cannot lay files over those of this machine"
        );
        Ok(household)
    }

    /// A command there, as root.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.holder.id()))
            .args(["--mount", "--net"])
            .arg(program)
            .env("HOME", "/root")
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null());
        command
    }

    /// Has a shell run this, which has to end well.
    pub fn run(&self, script: &str) -> anyhow::Result<String> {
        self.run_with_input(script, "")
    }

    /// The same, with this on standard input.
    pub fn run_with_input(&self, script: &str, input: &str) -> anyhow::Result<String> {
        let mut shell = self.shell(script);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = shell.spawn()?;
        let mut stdin = running.stdin.take().context("stdin was piped")?;
        // Who does not read it may have ended by now.
        let _unread = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = running.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("{script}\n{}\n{said}", output.status);
        }
        eprint!("{said}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A shell that runs this, at the top of the repository.
    #[must_use]
    pub fn shell(&self, script: &str) -> Command {
        let mut shell = self.command("sh");
        shell.args(["-euc", &format!("cd \"$0\"\n{script}")]).arg(top());
        shell
    }

    /// Writes a file there; `~` is root's home.
    pub fn write(&self, path: &str, text: &str, mode: &str) -> anyhow::Result<()> {
        let folder = TempDir::new()?;
        let here = folder.path().join("file");
        fs::write(&here, text)?;
        let path = path.replacen('~', "/root", 1);
        self.run(&format!("install -D -m {mode} '{}' '{path}'", here.display()))?;
        Ok(())
    }
}

impl Drop for Household {
    fn drop(&mut self) {
        let _ended = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}
