//! A gate on interfaces of any kind, and a service behind it.

use letmein_tests::{
    bpffs::BpfFs,
    gate::{Gate, KEY, letmein},
    lab::{Host, Lab, Outcome},
    letmeind::Letmeind,
    silent,
    wait::wait_until,
};
use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    thread,
    time::Duration,
};

/// The hosts, with a service on `tcp/22` of the server.
pub struct Scene {
    pub lab: Lab,
    bpffs: BpfFs,
    _service: TcpListener,
}

impl Scene {
    /// On a machine where letmeind has run since it was booted: a first start takes no silent knock for a while.
    pub fn new() -> Self {
        let lab = Lab::new().unwrap();
        let service = lab.server.listen(22).unwrap();
        let scene = Self {
            lab,
            bpffs: BpfFs::mount().unwrap(),
            _service: service,
        };
        scene.start(&["lo"], "").stop().unwrap();
        scene
    }

    /// On these interfaces, with further lines for section `[gate]`.
    pub fn configuration(&self, interfaces: &[&str], gate: &str) -> String {
        format!(
            "[gate]\ninterfaces = {interfaces:?}\nsilent = true\nrate = 1000\nburst = 1000\n{}\n{gate}\n\
             [resources.ssh]\nid = \"00000001\"\nports = [\"tcp/22\"]\nlease = \"1h\"\n\
             [users.alice]\nid = \"00000001\"\nkey-file = \"alice.key\"\nresources = [\"ssh\"]\n",
            self.bpffs.setting()
        )
    }

    pub fn letmeind(&self, interfaces: &[&str], gate: &str) -> Letmeind<'_> {
        Letmeind::new(&self.lab.server, &self.configuration(interfaces, gate)).unwrap()
    }

    pub fn start(&self, interfaces: &[&str], gate: &str) -> Gate {
        self.letmeind(interfaces, gate).start().unwrap()
    }

    /// `ip` on the server.
    #[track_caller]
    pub fn ip(&self, words: &str) -> String {
        let words: Vec<_> = words.split(' ').collect();
        self.lab.server.run("ip", &words).unwrap()
    }

    /// Whether this interface of the server has an XDP program.
    pub fn has_program(&self, interface: &str) -> bool {
        self.ip(&format!("link show {interface}")).contains("xdp")
    }
}

/// One client's way to a server's address.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    pub client: &'a Host,
    pub server: &'a str,
}

impl Way<'_> {
    pub fn port(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.server.parse::<IpAddr>().unwrap(), port)
    }

    pub fn meets(self) -> Outcome {
        self.client.connect(self.port(22)).unwrap()
    }

    pub fn letmein(self, verb: &[&str]) -> i32 {
        let configuration = format!(
            "[servers.gate]\nhost = \"{}\"\nuser = \"00000001\"\ntimeout = \"2s\"\nkey-file = \"alice.key\"\n\
             [servers.gate.resources]\nssh = {{ id = \"00000001\", port = 22 }}\n",
            self.server
        );
        let words = [verb, &["gate", "ssh"][..]].concat();
        letmein(self.client, &configuration, &KEY, &words).unwrap()
    }

    /// Challenge knocks and silent ones open and close, and the XDP program sees it all.
    #[track_caller]
    pub fn is_guarded(self, gate: &mut Gate) {
        self.opens_by_challenge(gate);
        self.knocks_silently(gate);
    }

    /// Closed; a challenge knock opens, a revocation closes.
    #[track_caller]
    pub fn opens_by_challenge(self, gate: &mut Gate) {
        let before = gate.counters().unwrap();
        assert_eq!(self.meets(), Outcome::Silent, "{}", self.server);
        let after = gate.counters().unwrap();
        assert!(count(&after, "shield") > count(&before, "shield"), "{after:?}");
        // The neighbour may have to be found again.
        wait_until("a challenge knock succeeds", || self.letmein(&["knock"]) == 0);
        assert_eq!(self.meets(), Outcome::Open, "{}", self.server);
        assert_eq!(self.letmein(&["revoke"]), 0);
        let genuine = count(&gate.counters().unwrap(), "genuine");
        assert!(genuine >= count(&before, "genuine") + 4, "{}", self.server);
    }

    /// A silent knock opens and closes; a forged one and a replayed one do nothing.
    #[track_caller]
    pub fn knocks_silently(self, gate: &mut Gate) {
        silent::settle(5);
        assert_eq!(self.meets(), Outcome::Silent, "{}", self.server);
        let knock = silent::Draft::default().seal();
        let mut forged = knock;
        forged[40] ^= 1;
        let before = gate.counters().unwrap();
        let port = self.port(5800);
        assert_eq!(
            silent::send(self.client, port, &[&forged, &knock, &knock]).unwrap(),
            0
        );
        wait_until("a silent knock opens", || self.meets() == Outcome::Open);
        let after = gate.counters().unwrap();
        assert_eq!(count(&after, "genuine"), count(&before, "genuine") + 1);
        assert_eq!(count(&after, "replay"), count(&before, "replay") + 1);
        assert_eq!(refused(&after), refused(&before) + 2, "{after:?}");
        let revocation = silent::Draft {
            operation: letmein_common::wire::challenge::Operation::Revoke,
            ..silent::Draft::default()
        };
        silent::send(self.client, port, &[&revocation.seal()]).unwrap();
        wait_until("a silent revocation closes", || self.meets() == Outcome::Silent);
    }
}

pub type Counts = std::collections::HashMap<String, u64>;

pub fn count(counts: &Counts, name: &str) -> u64 {
    counts.get(name).copied().unwrap_or(0)
}

/// All that was refused but by the shield.
pub fn refused(counts: &Counts) -> u64 {
    let others = counts
        .iter()
        .filter(|(name, _)| !["genuine", "shield"].contains(&name.as_str()));
    others.map(|(_, count)| count).sum()
}

/// Waits until a counter has this many more than before.
#[track_caller]
pub fn wait_for_count(gate: &mut Gate, before: &Counts, name: &str, more: u64) {
    wait_until(name, || {
        thread::sleep(Duration::from_millis(10));
        count(&gate.counters().unwrap(), name) == count(before, name) + more
    });
}
