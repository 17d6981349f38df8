//! `mode = "chain"`: the user's own ruleset, here the example, closes the ports, and a chain in it opens them.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_tests::{
    gate::{Gate, KEY, configuration},
    lab::{Lab, Outcome},
    letmeind::Letmeind,
};
use std::net::TcpListener;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../nftables.conf");
/// Other tables of the user's, one of them with the names that guard mode gives its sets.
const OTHERS: &str = "
    table inet others {
        set leases4 { type ipv4_addr; elements = { 192.0.2.1 }; }
    }
    table ip nat {
        chain out { type nat hook postrouting priority srcnat; ip saddr 192.0.2.0/24 masquerade; }
    }";

/// The server has services on port 22, which the ruleset closes, and on port 80, which it opens to everybody.
struct Scene {
    lab: Lab,
    _services: [TcpListener; 2],
}

impl Scene {
    fn new(ruleset: &[&str]) -> Self {
        let lab = Lab::new().unwrap();
        let services = [22, 80].map(|port| lab.server.listen(port).unwrap());
        lab.server.run("nft", ruleset).unwrap();
        Self {
            lab,
            _services: services,
        }
    }

    fn with_example() -> Self {
        let scene = Self::new(&["-f", EXAMPLE]);
        scene.nft(&[OTHERS]);
        scene
    }

    fn nft(&self, arguments: &[&str]) -> String {
        self.lab.server.run("nft", arguments).unwrap()
    }

    /// All that is not letmeind's, with the handles, which would tell of a rule that was made anew.
    fn users_rules(&self) -> String {
        ["chain inet filter input", "table inet others", "table ip nat"]
            .map(|what| self.nft(&["-a", "list", what]))
            .concat()
    }

    fn letmeind(&self, gate: &str) -> Letmeind<'_> {
        Letmeind::new(&self.lab.server, &configuration(gate, "mode = \"chain\"", "1h")).unwrap()
    }

    fn letmein(&self, gate: &Gate, server: &str, verb: &str, flag: &str) -> i32 {
        let arguments = [verb, "gate", "ssh", flag];
        gate.letmein(&self.lab.client, server, &KEY, &arguments).unwrap()
    }

    /// Port 22 for the client that knocks; `network` is the server's address for it.
    fn ssh(&self, network: &str) -> Outcome {
        let address = format!("{network}:22").parse().unwrap();
        self.lab.client.connect(address).unwrap()
    }

    /// For who has no lease everything is as the user wants it.
    #[track_caller]
    fn check_other(&self) {
        let connect = |address: &str| self.lab.other.connect(address.parse().unwrap()).unwrap();
        assert_eq!(connect("10.77.2.1:22"), Outcome::Silent);
        assert_eq!(connect("10.77.2.1:80"), Outcome::Open);
    }
}

/// From the first start to `letmeind down`, in the ruleset of the example.
fn life_in_the_example(xdp: &str, server: &str, network: &str, flag: &str) {
    let scene = Scene::with_example();
    let gate = format!("xdp = \"{xdp}\"");
    let start = || scene.letmeind(&gate).start().unwrap();
    let before = scene.nft(&["-a", "list ruleset"]);
    let users = scene.users_rules();
    assert_eq!(scene.ssh(network), Outcome::Silent);

    let gate = start();
    assert_eq!(scene.users_rules(), users);
    assert_eq!(scene.ssh(network), Outcome::Silent);
    assert_eq!(scene.letmein(&gate, server, "knock", flag), 0);
    assert_eq!(scene.ssh(network), Outcome::Open);
    scene.check_other();
    assert_eq!(scene.letmein(&gate, server, "revoke", flag), 0);
    assert_eq!(scene.ssh(network), Outcome::Silent);

    // Who has been let in stays in: through the end of the daemon, a reload of the ruleset and the next daemon.
    assert_eq!(scene.letmein(&gate, server, "knock", flag), 0);
    gate.stop().unwrap();
    assert_eq!(scene.users_rules(), users);
    assert_eq!(scene.ssh(network), Outcome::Open);
    let gate = start();
    assert_eq!(scene.users_rules(), users);
    assert_eq!(scene.ssh(network), Outcome::Open);
    scene.nft(&["-f", EXAMPLE]);
    assert_eq!(scene.ssh(network), Outcome::Open);
    scene.check_other();
    assert_eq!(scene.letmein(&gate, server, "revoke", flag), 0);
    assert_eq!(scene.ssh(network), Outcome::Silent);
    gate.stop().unwrap();

    scene.letmeind("").down().unwrap();
    assert_eq!(
        without_handles(&scene.nft(&["-a", "list ruleset"])),
        without_handles(&before)
    );
}

/// A reload makes the user's rules anew.
fn without_handles(listing: &str) -> String {
    let lines = listing.lines();
    lines
        .map(|line| line.split(" # handle").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn udp_ipv4() {
    life_in_the_example("auto", "10.77.1.1", "10.77.1.1", "-U");
}

#[test]
fn tcp_ipv6() {
    life_in_the_example("auto", "fd77:1::1", "[fd77:1::1]", "-T");
}

#[test]
fn udp_ipv6_without_xdp() {
    life_in_the_example("off", "fd77:1::1", "[fd77:1::1]", "-U");
}

/// Without letmeind: what it says is open to everybody is, the rest is not, and loading it again changes nothing.
#[test]
fn the_example_as_it_stands() {
    let lab = Lab::new().unwrap();
    let _services = [22, 80, 443, 5800].map(|port| lab.server.listen(port).unwrap());
    let _far = lab.client.listen(7).unwrap();
    let nft = |arguments: &[&str]| lab.server.run("nft", arguments).unwrap();
    nft(&["--check", "--file", EXAMPLE]);
    assert_eq!(nft(&["list", "ruleset"]), "");
    nft(&["--file", EXAMPLE]);
    let once = nft(&["-s", "list", "ruleset"]);
    nft(&["--file", EXAMPLE]);
    assert_eq!(nft(&["-s", "list", "ruleset"]), once);
    for (port, outcome) in [
        (22, Outcome::Silent),
        (80, Outcome::Open),
        (443, Outcome::Open),
        (5800, Outcome::Silent),
    ] {
        for server in ["10.77.1.1", "[fd77:1::1]"] {
            let met = lab.client.connect(format!("{server}:{port}").parse().unwrap());
            assert_eq!(met.unwrap(), outcome, "{server} {port}");
        }
    }
    for client in ["10.77.1.2:7", "[fd77:1::2]:7"] {
        assert_eq!(
            lab.server.connect(client.parse().unwrap()).unwrap(),
            Outcome::Open
        );
    }
    let itself = lab.server.connect("127.0.0.1:22".parse().unwrap());
    assert_eq!(itself.unwrap(), Outcome::Open);
}

/// Table and chain may be called as the user likes. The control port is open only for what clients knock over.
#[test]
fn other_names() {
    let ruleset = "
        table inet fw {
            chain knocks { }
            chain from-outside {
                type filter hook input priority 10; policy drop;
                ct state established accept; tcp dport 80 accept; meta l4proto ipv6-icmp accept; jump knocks;
            }
        }";
    let scene = Scene::new(&[ruleset]);
    let firewall = "mode = \"chain\"\ntable = \"fw\"\nchain = \"knocks\"";
    let configuration = configuration("transports = [\"udp\"]", firewall, "1h");
    let gate = Gate::start_with(&scene.lab.server, &configuration).unwrap();
    assert_eq!(scene.letmein(&gate, "10.77.1.1", "knock", "-U"), 0);
    assert_eq!(scene.ssh("10.77.1.1"), Outcome::Open);
    scene.check_other();
    let chain = scene.nft(&["list chain inet fw knocks"]);
    assert!(
        chain.contains("udp dport 5800 accept") && !chain.contains("tcp dport"),
        "{chain}"
    );
}

/// What letmeind cannot work with it refuses, and says what to do. Nothing is changed.
#[test]
fn rulesets_that_do_not_fit() {
    const TABLE: &str = "add table inet filter; ";
    const CHAIN: &str = "add chain inet filter LETMEIN-INPUT; ";
    let cases = [
        (
            "add table inet others".to_owned(),
            "table `inet filter` does not exist: load a ruleset that has it, with `chain LETMEIN-INPUT { }`",
        ),
        (
            TABLE.to_owned(),
            "table `inet filter` has no chain `LETMEIN-INPUT`: add `chain LETMEIN-INPUT { }` to it",
        ),
        (
            format!("{TABLE}add chain inet filter LETMEIN-INPUT {{ type filter hook input priority 0; }}"),
            "is a base chain: letmeind rewrites its chain, so give it one of its own",
        ),
        (
            format!("{TABLE}{CHAIN}add rule inet filter LETMEIN-INPUT tcp dport 443 accept"),
            "holds rules that letmeind did not write: it rewrites its chain, so move them",
        ),
        (
            format!("{TABLE}{CHAIN}add set inet filter letmein_leases4 {{ type ipv4_addr; }}"),
            "set `letmein_leases4` in table `inet filter` is not as letmeind makes it: delete or rename it",
        ),
    ];
    for (ruleset, text) in &cases {
        let scene = Scene::new(&[ruleset]);
        let before = scene.nft(&["-a", "list ruleset"]);
        let failure = scene.letmeind("").fail().unwrap();
        assert_eq!(failure.code, Some(1));
        let error = failure.error().unwrap();
        assert!(error.contains(text), "{text:?} is not in {error:?}");
        assert_eq!(scene.nft(&["-a", "list ruleset"]), before);
    }
}

/// Guard mode's table of an earlier configuration would go on closing what the chain opens.
#[test]
fn a_guard_that_was_left() {
    let scene = Scene::with_example();
    let guard = Letmeind::new(&scene.lab.server, &configuration("", "", "1h")).unwrap();
    Gate::start(&scene.lab.server, "", "", "1h")
        .unwrap()
        .stop()
        .unwrap();
    let failure = scene.letmeind("").fail().unwrap();
    assert_eq!(failure.code, Some(1));
    let error = failure.error().unwrap();
    let text = "table `inet letmein` of guard mode is still installed and would keep ports closed: remove it with \
                `letmeind down`";
    assert!(error.contains(text), "{error:?}");
    assert_eq!(scene.ssh("10.77.1.1"), Outcome::Silent);
    guard.down().unwrap();
    let gate = scene.letmeind("").start().unwrap();
    assert_eq!(scene.letmein(&gate, "10.77.1.1", "knock", "-U"), 0);
    assert_eq!(scene.ssh("10.77.1.1"), Outcome::Open);
}
