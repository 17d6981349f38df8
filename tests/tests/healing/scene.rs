//! A gate with guests whose leases have different times left.

use letmein_tests::{
    bpffs::BpfFs,
    gate::{Gate, KEY, configuration},
    lab::{Lab, Outcome},
    letmeind::Letmeind,
    nft::{Lease, leases},
};
use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

pub const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../nftables.conf");
const SERVER: &str = "10.77.1.1";
const SERVER_V6: &str = "fd77:1::1";
/// A guest that has used up most of an hour, and one that has used up nearly all of it.
const OTHERS: &str =
    "10.77.1.8 . tcp . 22 timeout 1h expires 20m, 10.77.1.9 . tcp . 22 timeout 1h expires 90s";

/// The server has a service on port 22. The client knocks; the other host never does.
pub struct Scene {
    pub lab: Lab,
    bpffs: BpfFs,
    _service: TcpListener,
    mode: &'static str,
    table: &'static str,
    prefix: &'static str,
}

impl Scene {
    pub fn guard() -> Self {
        Self::new("", "letmein", "")
    }

    /// In the ruleset of the example.
    pub fn chain() -> Self {
        let scene = Self::new("mode = \"chain\"", "filter", "letmein_");
        scene.nft(&["-f", EXAMPLE]);
        scene
    }

    fn new(mode: &'static str, table: &'static str, prefix: &'static str) -> Self {
        let lab = Lab::new().unwrap();
        let service = lab.server.listen(22).unwrap();
        Self {
            lab,
            bpffs: BpfFs::mount().unwrap(),
            _service: service,
            mode,
            table,
            prefix,
        }
    }

    pub fn letmeind(&self) -> Letmeind<'_> {
        let firewall = format!("max-leases = 100000\n{}", self.mode);
        let gate = format!("rate = 1000\nburst = 1000\n{}", self.bpffs.setting());
        let configuration = configuration(&gate, &firewall, "1h");
        Letmeind::new(&self.lab.server, &configuration).unwrap()
    }

    /// A daemon, and guests: the client over IPv4 and IPv6, and two more, whom somebody let in with nft.
    pub fn with_guests(&self) -> Gate {
        let gate = self.letmeind().start().unwrap();
        self.knock(&gate);
        assert_eq!(self.letmein(&gate, "knock", SERVER_V6), 0);
        self.nft(&[&format!(
            "add element inet {} {} {{ {OTHERS} }}",
            self.table,
            self.leases4()
        )]);
        gate
    }

    pub fn knock(&self, gate: &Gate) {
        assert_eq!(self.letmein(gate, "knock", SERVER), 0);
    }

    pub fn letmein(&self, gate: &Gate, verb: &str, server: &str) -> i32 {
        let arguments = [verb, "gate", "ssh"];
        gate.letmein(&self.lab.client, server, &KEY, &arguments).unwrap()
    }

    pub fn nft(&self, arguments: &[&str]) -> String {
        self.lab.server.run("nft", arguments).unwrap()
    }

    pub fn leases4(&self) -> String {
        format!("{}leases4", self.prefix)
    }

    pub fn leases(&self, family: u8) -> Vec<Lease> {
        leases(
            &self.lab.server,
            self.table,
            &format!("{}leases{family}", self.prefix),
        )
        .unwrap_or_default()
    }

    /// The rules with their handles: a rule that was written anew has another.
    pub fn rules(&self) -> Vec<String> {
        let listing = self
            .lab
            .server
            .run("nft", &["-a", "-t", "list table inet", self.table]);
        // It may be gone just now.
        let listing = listing.unwrap_or_default();
        let ours = listing.lines().filter(|line| line.contains("\"letmein: "));
        ours.map(str::to_owned).collect()
    }

    /// The handle of the rule with this comment.
    pub fn handle(&self, comment: &str) -> String {
        let rules = self.rules();
        let rule = rules.iter().find(|rule| rule.contains(comment)).unwrap();
        rule.rsplit_once(' ').unwrap().1.to_owned()
    }

    /// Port 22 for the guest over IPv4 and IPv6, and for the host that has no lease.
    pub fn ssh(&self) -> [Outcome; 3] {
        let client = |address: &str| self.lab.client.connect(address.parse().unwrap()).unwrap();
        let other = self.lab.other.connect("10.77.2.1:22".parse().unwrap()).unwrap();
        [client("10.77.1.1:22"), client("[fd77:1::1]:22"), other]
    }

    /// Somebody does this, and all is as before: rules, sets, and each lease with the time that it has left.
    #[track_caller]
    pub fn heals(&self, gate: &mut Gate, destruction: &str) {
        self.destroy_and_heal(gate, &[destruction]);
    }

    #[track_caller]
    pub fn destroy_and_heal(&self, gate: &mut Gate, nft: &[&str]) {
        use Outcome::{Open, Silent};

        let rules = without_handles(&self.rules());
        let before = [self.leases(4), self.leases(6)].concat();
        assert_eq!(before.len(), 4, "{before:?}");
        let since = Instant::now();
        self.nft(nft);
        gate.wait_for("leases are put back").unwrap();
        assert_eq!(self.ssh(), [Open, Open, Silent], "{nft:?}");
        assert_eq!(without_handles(&self.rules()), rules, "{nft:?}");
        let after = [self.leases(4), self.leases(6)].concat();
        let keys = |leases: &[Lease]| leases.iter().map(|lease| lease.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&after), keys(&before), "{nft:?}");
        // nft tells whole seconds, and the mirror's clock is not exactly the kernel's.
        let passed = since.elapsed() + Duration::from_secs(2);
        for (before, after) in before.iter().zip(&after) {
            assert!(after.left <= before.left, "{nft:?}: {before:?} {after:?}");
            assert!(
                after.left + passed >= before.left,
                "{nft:?}: {before:?} {after:?}"
            );
        }
    }
}

fn without_handles(rules: &[String]) -> Vec<String> {
    let rules = rules.iter().filter_map(|rule| rule.split(" # handle").next());
    rules.map(str::to_owned).collect()
}
