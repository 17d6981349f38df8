//! Alice, Bob and Carol behind one address, a service, and a gate that takes both kinds of knock.

use letmein_tests::{
    bpffs::BpfFs,
    gate::{Client, Gate, KEY},
    lab::{Lab, Outcome},
    letmeind::{Letmeind, complete},
    nft,
};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

pub const SERVER: &str = "10.77.1.1";
pub const SERVER_V6: &str = "fd77:1::1";
pub const USERS: [&str; 3] = ["alice", "bob", "carol"];

pub struct Scene {
    pub lab: Lab,
    pub bpffs: BpfFs,
    pub service: TcpListener,
}

/// A gate whose configuration can be changed.
pub struct Serving {
    pub gate: Gate,
    file: PathBuf,
}

impl Scene {
    /// On a machine where letmeind has run since it was booted: a first start takes no silent knock for a while.
    pub fn new() -> Self {
        let lab = Lab::new().unwrap();
        let scene = Self {
            service: lab.server.listen(22).unwrap(),
            bpffs: BpfFs::mount().unwrap(),
            lab,
        };
        scene.start(&scene.configuration("", "")).gate.stop().unwrap();
        scene
    }

    /// `tcp/22` for all three, with these lines in `[firewall]` and in the resource.
    pub fn configuration(&self, firewall: &str, resource: &str) -> String {
        let mut text = format!(
            "[gate]\ninterfaces = [\"to-peer1\", \"to-peer2\"]\nsilent = true\nrate = 1000\nburst = 1000\n{}\n\
             [firewall]\n{firewall}\n[resources.ssh]\nid = \"1\"\nlease = \"1h\"\n{resource}\n",
            self.bpffs.setting()
        );
        if !resource.contains("ports") && !resource.contains("jump") {
            text += "ports = [\"tcp/22\"]\n";
        }
        for (number, user) in (1..).zip(USERS) {
            let section = format!(
                "[users.{user}]\nid = \"{number}\"\nkey-file = \"alice.key\"\nresources = [\"ssh\"]\n"
            );
            text.push_str(&section);
        }
        text
    }

    pub fn start(&self, configuration: &str) -> Serving {
        let letmeind = Letmeind::new(&self.lab.server, configuration).unwrap();
        let file = letmeind.key_file().with_file_name("letmeind.toml");
        let gate = letmeind.start().unwrap();
        Serving { gate, file }
    }

    /// The usual one.
    pub fn gate(&self) -> Serving {
        self.start(&self.configuration("", ""))
    }

    /// Runs `letmein VERB gate ssh` as this user, on the one host behind whose address all of them are.
    #[track_caller]
    pub fn letmein(&self, user: &str, server: &str, verb: &str, options: &[&str]) {
        let number = USERS.iter().position(|name| *name == user).unwrap() + 1;
        let configuration = format!(
            "[servers.gate]\nhost = \"{server}\"\nuser = \"{number}\"\ntimeout = \"10s\"\nkey-file = \"alice.key\"\n\
             [servers.gate.resources]\nssh = {{ id = \"1\" }}\n"
        );
        let client = Client::new(&configuration, &KEY).unwrap();
        let arguments = [&[verb, "gate", "ssh"], options].concat();
        let run = || client.command(&arguments).status().unwrap();
        assert!(
            self.lab.client.enter(run).unwrap().success(),
            "{user} {arguments:?}"
        );
    }

    /// Knocks for the resource's own time, over IPv4.
    #[track_caller]
    pub fn knock(&self, user: &str) {
        self.letmein(user, SERVER, "knock", &[]);
    }

    #[track_caller]
    pub fn revoke(&self, user: &str) {
        self.letmein(user, SERVER, "revoke", &[]);
    }

    /// Knocks for this long, which a silent knock can ask for.
    #[track_caller]
    pub fn knock_for(&self, serving: &mut Serving, user: &str, server: &str, time: &str) {
        self.letmein(user, server, "knock", &["--silent", "--for", time]);
        serving.gate.wait_for(&format!("{user} opened ssh")).unwrap();
    }

    /// What they find at the port.
    pub fn port(&self, server: &str) -> Outcome {
        let to = SocketAddr::new(server.parse().unwrap(), 22);
        self.lab.client.connect(to).unwrap()
    }

    /// What is left of the only lease in this set.
    #[track_caller]
    pub fn left(&self, set: &str) -> Duration {
        let leases = nft::leases(&self.lab.server, "letmein", set).unwrap();
        assert_eq!(leases.len(), 1, "{leases:?}");
        leases[0].left
    }

    pub fn nft(&self, arguments: &[&str]) -> String {
        self.lab.server.run("nft", arguments).unwrap()
    }
}

impl Serving {
    /// What a command of the operator's prints.
    #[track_caller]
    pub fn prints(&self, verb: &str, arguments: &[&str]) -> String {
        let output = self.gate.operate(verb, arguments).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Who holds grants, and how many minutes still (rounded up), by `letmeind leases`.
    #[track_caller]
    pub fn grants(&self) -> Vec<(String, u64)> {
        let told: Value = serde_json::from_str(&self.prints("leases", &["--json"])).unwrap();
        let leases = told["leases"].as_array().unwrap().iter();
        let mut grants: Vec<_> = leases
            .map(|lease| {
                let who = match (lease["user"].as_str(), lease["operator"].as_u64()) {
                    (Some(user), None) => user.to_owned(),
                    (None, Some(uid)) => format!("operator {uid}"),
                    _ => "unknown".to_owned(),
                };
                (who, lease["seconds_left"].as_u64().unwrap().div_ceil(60))
            })
            .collect();
        grants.sort();
        grants
    }

    /// The same without the times.
    #[track_caller]
    pub fn holders(&self) -> Vec<String> {
        self.grants().into_iter().map(|(who, _)| who).collect()
    }

    /// Has another configuration read.
    #[track_caller]
    pub fn reload(&mut self, configuration: &str) {
        fs::write(&self.file, complete(configuration, self.file.parent().unwrap())).unwrap();
        kill(self.gate.pid(), Signal::SIGHUP).unwrap();
        self.gate.wait_for("reloaded: ").unwrap();
    }
}

/// An hour, or nearly so: no test takes that long.
#[track_caller]
pub fn assert_is_an_hour(left: Duration) {
    assert!(left > Duration::from_mins(50), "{left:?}");
}

/// Two minutes or less.
#[track_caller]
pub fn assert_is_short(left: Duration) {
    assert!(left <= Duration::from_mins(2), "{left:?}");
}
