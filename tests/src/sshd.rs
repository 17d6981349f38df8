//! OpenSSH's server, as a service behind the gate, and its client.

use crate::lab::{Host, Outcome};
use anyhow::{Context as _, ensure};
use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The server's address, as its clients know it.
pub const SERVER: &str = "10.77.1.1";
/// How long something may take that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs sshd (configuration $2, log $3) in a mount namespace of its own, which `ip netns exec` makes: with the folder
/// that it separates privileges in, and with accounts that take logins ($1): root's, which distributions lock, and
/// alice's, who is root by another name ($2).
const AS_INSTALLED: &str =
    "set -e; mount -t tmpfs none /run; mkdir -m 755 /run/sshd; mount --bind \"$1\" /etc/shadow
mount --bind \"$2\" /etc/passwd
exec /usr/sbin/sshd -D -f \"$3\" -E \"$4\"";

/// An `sshd` on port 22, and what its client needs.
pub struct Sshd {
    process: Child,
    folder: TempDir,
}

impl Sshd {
    /// Starts it, and waits until it listens.
    pub fn start(host: &Host) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let path = |name| folder.path().join(name).display().to_string();
        for key in ["host", "user"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]);
            ensure!(keygen.status()?.success(), "ssh-keygen failed");
        }
        let known = fs::read_to_string(path("host.pub"))?;
        fs::write(path("known_hosts"), format!("{SERVER} {known}"))?;
        fs::write(path("shadow"), "root:*:::::::\nalice:*:::::::\n")?;
        let accounts = fs::read_to_string("/etc/passwd")?;
        fs::write(path("passwd"), format!("{accounts}alice:x:0:0::/root:/bin/sh\n"))?;
        let server = format!(
            "Port 22\nPidFile none\nHostKey {}\nAuthorizedKeysFile {}\nPermitRootLogin prohibit-password\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no\nUsePAM no\nUseDNS no\n\
             LogLevel VERBOSE\n",
            path("host"),
            path("user.pub")
        );
        fs::write(path("sshd_config"), server)?;
        let client = format!(
            "BatchMode yes\nStrictHostKeyChecking yes\nUserKnownHostsFile {}\nIdentityFile {}\n",
            path("known_hosts"),
            path("user")
        );
        fs::write(path("ssh_config"), client)?;
        let process = host
            .command("sh")
            .args(["-c", AS_INSTALLED, "sh"])
            .args(["shadow", "passwd", "sshd_config", "log"].map(path))
            .spawn()?;
        let started = Self { process, folder };
        let here = SocketAddr::from(([127, 0, 0, 1], 22));
        let deadline = Instant::now() + PATIENCE;
        while host.connect(here)? != Outcome::Open {
            ensure!(
                Instant::now() < deadline,
                "sshd does not listen: {:?}",
                started.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(started)
    }

    /// The configuration for its clients, without a line about who logs in.
    #[must_use]
    pub fn client_configuration(&self) -> PathBuf {
        self.folder.path().join("ssh_config")
    }

    /// What it has logged: among other things, every connection with its address.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("log"))?)
    }

    /// `ssh` from this host, to run this command if it is connected within these seconds.
    #[must_use]
    pub fn client(&self, host: &Host, seconds: u32, command: &str) -> Command {
        let mut ssh = host.command("ssh");
        ssh.arg("-F").arg(self.client_configuration());
        ssh.args(["-l", "root", "-o", &format!("ConnectTimeout={seconds}")]);
        ssh.args([SERVER, command]);
        ssh
    }

    /// Whether the server lets this host in that quickly.
    pub fn takes_logins(&self, host: &Host, seconds: u32) -> anyhow::Result<bool> {
        let output = self.client(host, seconds, "echo let in").output()?;
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        Ok(output.status.success() && output.stdout == b"let in\n")
    }

    /// Whether the server shows its own key to this host that quickly.
    pub fn shows_its_key(&self, host: &Host, seconds: u32) -> anyhow::Result<bool> {
        let known = fs::read_to_string(self.folder.path().join("known_hosts"))?;
        let key = known.split(' ').nth(2).context("a known host without a key")?;
        let mut keyscan = host.command("ssh-keyscan");
        keyscan.args(["-t", "ed25519", "-T", &seconds.to_string(), SERVER]);
        Ok(String::from_utf8(keyscan.output()?.stdout)?.contains(key))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}
