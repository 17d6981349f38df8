//! The hosts, a service behind the gate, and a gate that takes silent knocks.

use letmein_tests::{
    bpffs::BpfFs,
    gate::{Client, Gate, KEY, configuration},
    lab::{Lab, Outcome},
    silent::{self, Draft},
};
use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    process::Output,
    thread::sleep,
    time::{Duration, Instant},
};

/// The gate, from the client's side.
pub const GATE: &str = "10.77.1.1";

pub struct Scene {
    pub lab: Lab,
    pub bpffs: BpfFs,
    _service: TcpListener,
}

impl Scene {
    /// On a machine where letmeind has run since it was booted: a first start takes no silent knock for a while.
    pub fn new() -> Self {
        let lab = Lab::new().unwrap();
        let scene = Self {
            _service: lab.server.listen(22).unwrap(),
            bpffs: BpfFs::mount().unwrap(),
            lab,
        };
        scene.start("", "1h").stop().unwrap();
        scene
    }

    /// Starts letmeind with silent knocks, these lines in `[gate]` and this lease.
    pub fn start(&self, gate: &str, lease: &str) -> Gate {
        Gate::start_with(&self.lab.server, &self.configuration(gate, lease)).unwrap()
    }

    pub fn configuration(&self, gate: &str, lease: &str) -> String {
        let gate = format!("silent = true\n{}\n{gate}", self.bpffs.setting());
        configuration(&gate, "", lease)
    }

    /// Sends knocks from the client, to which nothing must come back.
    #[track_caller]
    pub fn knock(&self, knocks: &[&[u8]]) {
        assert_eq!(silent::send(&self.lab.client, control(), knocks).unwrap(), 0);
    }

    /// What the client finds at the protected port.
    pub fn port(&self) -> Outcome {
        self.lab.client.connect(port(22)).unwrap()
    }

    /// Runs `letmein` on the client's host, by this program or itself.
    pub fn letmein(&self, under: &[&str], key: &[u8; 32], section: &str, arguments: &[&str]) -> Run {
        let configuration = format!(
            "[servers.gate]\nhost = \"{GATE}\"\nuser = \"1\"\nkey-file = \"alice.key\"\nmode = \"silent\"\n{section}\n\
             [servers.gate.resources]\nssh = {{ id = \"1\", port = 22 }}\nother = {{ id = \"2\", port = 23 }}\n"
        );
        let client = Client::new(&configuration, key).unwrap();
        let direct = client.command(arguments);
        let words: Vec<_> = under
            .iter()
            .map(Into::into)
            .chain([direct.get_program().to_owned()])
            .chain(direct.get_args().map(ToOwned::to_owned))
            .collect();
        let output = self
            .lab
            .client
            .enter(|| std::process::Command::new(&words[0]).args(&words[1..]).output());
        Run::of(output.unwrap().unwrap())
    }
}

/// How a run of the client ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It succeeded, and said this.
    #[track_caller]
    pub fn said(&self, text: &str) {
        assert!(self.code == Some(0) && self.stdout.contains(text), "{self:?}");
    }
}

pub fn control() -> SocketAddr {
    port(5800)
}

pub fn port(port: u16) -> SocketAddr {
    format!("{GATE}:{port}").parse().unwrap()
}

/// A knock of alice's on ssh.
pub fn genuine() -> [u8; 88] {
    Draft::default().seal()
}

/// Alice's key with one bit changed.
pub fn wrong_key() -> [u8; 32] {
    let mut key = KEY;
    key[0] ^= 1;
    key
}

/// Waits until exactly these counters stand, besides that of the shield, which is about connection attempts.
#[track_caller]
pub fn counted(gate: &mut Gate, expected: &[(&str, u64)]) {
    let expected: HashMap<_, _> = expected
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut counters = gate.counters().unwrap();
        counters.retain(|name, count| expected.contains_key(name) || *count > 0 && name != "shield");
        if counters == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{counters:?} instead of {expected:?}");
        sleep(Duration::from_millis(50));
    }
}
