//! What it is all for: OpenSSH behind the gate. No connection before the knock, a login after it, and a session that
//! outlives its lease, while a new one finds the port closed.
//! Needs root, and OpenSSH's server and client.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_tests::{
    gate::{Gate, KEY},
    lab::{Host, Lab, Outcome},
};
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const SERVER: &str = "10.77.1.1";
/// How long something may take that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs sshd (configuration $2, log $3) in a mount namespace of its own, which `ip netns exec` makes: with the folder
/// that it separates privileges in, and with a root account ($1) that takes logins, as distributions lock theirs.
const AS_INSTALLED: &str =
    "set -e; mount -t tmpfs none /run; mkdir -m 755 /run/sshd; mount --bind \"$1\" /etc/shadow
exec /usr/sbin/sshd -D -f \"$2\" -E \"$3\"";

/// An `sshd` on port 22, and what its client needs.
struct Sshd {
    process: Child,
    folder: TempDir,
}

impl Sshd {
    fn start(host: &Host) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name| folder.path().join(name).to_str().unwrap().to_owned();
        for key in ["host", "user"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]);
            assert!(keygen.status().unwrap().success());
        }
        let known = fs::read_to_string(path("host.pub")).unwrap();
        fs::write(path("known_hosts"), format!("{SERVER} {known}")).unwrap();
        fs::write(path("shadow"), "root:*:::::::\n").unwrap();
        let configuration = format!(
            "Port 22\nPidFile none\nHostKey {}\nAuthorizedKeysFile {}\nPermitRootLogin prohibit-password\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no\nUsePAM no\nUseDNS no\n",
            path("host"),
            path("user.pub")
        );
        fs::write(path("sshd_config"), configuration).unwrap();
        let process = host
            .command("sh")
            .args(["-c", AS_INSTALLED, "sh", &path("shadow")])
            .args([path("sshd_config"), path("log")])
            .spawn()
            .unwrap();
        let here = "127.0.0.1:22".parse().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while host.connect(here).unwrap() != Outcome::Open {
            let log = || fs::read_to_string(path("log"));
            assert!(Instant::now() < deadline, "sshd does not listen: {:?}", log());
            thread::sleep(Duration::from_millis(20));
        }
        Self { process, folder }
    }

    /// `ssh` from this host, to run this command if it is connected within these seconds.
    fn client(&self, host: &Host, seconds: u32, command: &str) -> Command {
        let file = |name| self.folder.path().join(name);
        let mut ssh = host.command("ssh");
        ssh.args(["-F", "none", "-l", "root", "-i"]).arg(file("user"));
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            &format!("UserKnownHostsFile={}", file("known_hosts").display()),
            &format!("ConnectTimeout={seconds}"),
        ] {
            ssh.args(["-o", option]);
        }
        ssh.args([SERVER, command]);
        ssh
    }

    /// Whether the server lets this host in that quickly.
    fn takes_logins(&self, host: &Host, seconds: u32) -> bool {
        let output = self.client(host, seconds, "echo let in").output().unwrap();
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        output.status.success() && output.stdout == b"let in\n"
    }

    /// Whether the server shows its own key to this host that quickly.
    fn shows_its_key(&self, host: &Host, seconds: u32) -> bool {
        let known = fs::read_to_string(self.folder.path().join("known_hosts")).unwrap();
        let key = known.split(' ').nth(2).unwrap();
        let mut keyscan = host.command("ssh-keyscan");
        keyscan.args(["-t", "ed25519", "-T", &seconds.to_string(), SERVER]);
        let output = keyscan.output().unwrap();
        String::from_utf8(output.stdout).unwrap().contains(key)
    }

    fn is_open(&self, host: &Host) -> bool {
        let seconds = 20;
        self.shows_its_key(host, seconds) && self.takes_logins(host, seconds)
    }

    fn is_closed(&self, host: &Host) -> bool {
        let seconds = 1;
        !self.shows_its_key(host, seconds) && !self.takes_logins(host, seconds)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// A session that repeats what it is told.
struct Session {
    process: Child,
    output: Receiver<String>,
}

impl Session {
    fn open(sshd: &Sshd, host: &Host) -> Self {
        let mut ssh = sshd.client(host, 20, "cat");
        let mut process = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, output) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, output }
    }

    #[track_caller]
    fn works(&mut self, text: &str) {
        writeln!(self.process.stdin.as_ref().unwrap(), "{text}").unwrap();
        assert_eq!(self.output.recv_timeout(PATIENCE).unwrap(), text);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn behind_the_gate(xdp: &str, firewall: &str) {
    let lab = Lab::new().unwrap();
    let sshd = Sshd::start(&lab.server);
    assert!(sshd.is_open(&lab.client));
    let gate = Gate::start(&lab.server, &format!("xdp = \"{xdp}\""), firewall, "1h").unwrap();
    let letmein = |verb: &str| {
        let arguments = [verb, "gate", "ssh"];
        gate.letmein(&lab.client, SERVER, &KEY, &arguments).unwrap()
    };
    assert!(sshd.is_closed(&lab.client));

    assert_eq!(letmein("knock"), 0);
    assert!(sshd.is_open(&lab.client));
    let mut session = Session::open(&sshd, &lab.client);
    session.works("with a lease");

    assert_eq!(letmein("revoke"), 0);
    assert!(sshd.is_closed(&lab.client));
    session.works("without a lease");
    gate.stop().unwrap();
    session.works("without letmeind");
    assert!(sshd.is_closed(&lab.client));
    session.works("at the end");
}

#[test]
fn closed_ports_drop() {
    behind_the_gate("native", "");
}

#[test]
fn closed_ports_reject() {
    behind_the_gate("generic", "closed = \"reject\"");
}
