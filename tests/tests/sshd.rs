//! What it is all for: OpenSSH behind the gate. No connection before the knock, a login after it, and a session that
//! outlives its lease, while a new one finds the port closed.
//! Needs root, and OpenSSH's server and client.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_tests::{
    gate::{Gate, KEY},
    lab::{Host, Lab},
    sshd::{SERVER, Sshd},
};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// How long something may take that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

fn is_open(sshd: &Sshd, host: &Host) -> bool {
    let seconds = 20;
    sshd.shows_its_key(host, seconds).unwrap() && sshd.takes_logins(host, seconds).unwrap()
}

fn is_closed(sshd: &Sshd, host: &Host) -> bool {
    let seconds = 1;
    !sshd.shows_its_key(host, seconds).unwrap() && !sshd.takes_logins(host, seconds).unwrap()
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
    let sshd = Sshd::start(&lab.server).unwrap();
    assert!(is_open(&sshd, &lab.client));
    let gate = Gate::start(&lab.server, &format!("xdp = \"{xdp}\""), firewall, "1h").unwrap();
    let letmein = |verb: &str| {
        let arguments = [verb, "gate", "ssh"];
        gate.letmein(&lab.client, SERVER, &KEY, &arguments).unwrap()
    };
    assert!(is_closed(&sshd, &lab.client));

    assert_eq!(letmein("knock"), 0);
    assert!(is_open(&sshd, &lab.client));
    let mut session = Session::open(&sshd, &lab.client);
    session.works("with a lease");

    assert_eq!(letmein("revoke"), 0);
    assert!(is_closed(&sshd, &lab.client));
    session.works("without a lease");
    gate.stop().unwrap();
    session.works("without letmeind");
    assert!(is_closed(&sshd, &lab.client));
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
