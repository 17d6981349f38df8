//! Services behind the server: what it routes, and what it translates (as Docker does for published ports).

use super::{SERVER, alice, echo, echoes, gate, stream::Stream};
use letmein_tests::{
    gate::Gate,
    lab::{Host, Lab, Outcome},
    nft::CHAIN_RULES,
};
use std::net::TcpListener;

use Outcome::{Open, Refused, Silent};

/// SSH of the host inside, HTTP of it at the server's port 8080, and a range; `tcp/23` is this machine's alone.
const RESOURCES: &str = "[resources.inside]\nid = \"00000001\"\nlease = \"1h\"\nforward = true\nipv6-prefix = 64\n\
                         ports = [\"tcp/22\", \"tcp/8080\", \"udp/60000-60010\"]\n\
                         [resources.here]\nid = \"00000002\"\nports = [\"tcp/23\"]\nlease = \"1h\"\n";
/// Destinations translated as the administrator, or Docker, does it.
const NAT: &str = "table inet translate { chain in { type nat hook prerouting priority dstnat;
    meta nfproto ipv4 tcp dport 8080 dnat ip to 10.77.3.2:80
    meta nfproto ipv6 tcp dport 8080 dnat ip6 to [fd77:3::2]:80;
    }
}";
/// One more port that a user's own rules pass on.
const ONE_MORE: &str = "\nadd rule inet filter forward tcp dport 24 accept";
const CHAIN: &str = "mode = \"chain\"";
/// What the firewall does is not to be seen while the shield is in front of it.
const NO_SHIELD: &str = "shield = \"off\"";

/// A lab with a host behind the server, and services on it.
struct Scene {
    lab: Lab,
    inside: Host,
    ssh: TcpListener,
    _services: Vec<TcpListener>,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new().unwrap();
        let inside = lab.inside().unwrap();
        let ssh = inside.listen(22).unwrap();
        let services = [23, 24, 80].map(|port| inside.listen(port).unwrap());
        let mut services = Vec::from(services);
        for port in [22, 24] {
            services.push(lab.client.listen(port).unwrap());
        }
        echo(&inside, 60005);
        echo(&inside, 60011);
        lab.server.run("nft", &[NAT]).unwrap();
        Self {
            lab,
            inside,
            ssh,
            _services: services,
        }
    }

    fn gate(&self, firewall: &str) -> Gate {
        if firewall.contains("chain") {
            self.lab.server.run("nft", &[CHAIN_RULES, ONE_MORE]).unwrap();
        }
        gate(&self.lab, firewall, RESOURCES)
    }

    fn gate_alone(&self, firewall: &str) -> Gate {
        self.gate(&format!("{NO_SHIELD}\n{firewall}"))
    }

    /// What peer 1 (the client) or 2 meets at: SSH inside, by either family; the translated port, by either family.
    fn meets(&self, peer: u8) -> [Outcome; 4] {
        let host = if peer == 1 {
            &self.lab.client
        } else {
            &self.lab.other
        };
        [
            "10.77.3.2:22".to_owned(),
            "[fd77:3::2]:22".to_owned(),
            format!("10.77.{peer}.1:8080"),
            format!("[fd77:{peer}::1]:8080"),
        ]
        .map(|to| host.connect(to.parse().unwrap()).unwrap())
    }
}

fn connect(host: &Host, to: &str) -> Outcome {
    host.connect(to.parse().unwrap()).unwrap()
}

/// From closed to open for one host and closed again, with a connection that lives through all of it.
fn opens_and_closes(firewall: &str) {
    let scene = Scene::new();
    let client = &scene.lab.client;
    assert_eq!(scene.meets(1), [Open; 4], "without letmeind");
    let mut running = scene.gate(firewall);
    for peer in [1, 2] {
        assert_eq!(scene.meets(peer), [Silent; 4]);
    }
    assert!(!echoes(client, "10.77.3.2:60005"));

    assert_eq!(alice(client, SERVER, "knock"), 0);
    assert_eq!(scene.meets(1), [Open, Silent, Open, Silent]);
    assert!(echoes(client, "10.77.3.2:60005"));
    assert_eq!(alice(client, super::SERVER_V6, "knock"), 0);
    assert_eq!(scene.meets(1), [Open; 4]);
    assert!(echoes(client, "[fd77:3::2]:60005"));
    assert_eq!(scene.meets(2), [Silent; 4]);

    let mut stream = Stream::open(client, "10.77.3.2:22", &scene.ssh);
    assert_eq!(alice(client, SERVER, "revoke"), 0);
    assert_eq!(scene.meets(1), [Silent, Open, Silent, Open]);
    running.stop().unwrap();
    running = gate(&scene.lab, firewall, RESOURCES);
    assert_eq!(scene.meets(1), [Silent, Open, Silent, Open]);
    assert!(stream.works(), "an open connection goes on");
    drop(running);
}

#[test]
fn the_guard_closes_what_is_routed_or_translated_and_a_lease_opens_it() {
    opens_and_closes(NO_SHIELD);
}

#[test]
fn a_chain_opens_what_is_routed_or_translated() {
    opens_and_closes(&format!("{NO_SHIELD}\n{CHAIN}"));
}

#[test]
fn the_shield_in_front_of_it_lets_in_whom_the_guard_does() {
    opens_and_closes("");
}

#[test]
fn the_guard_touches_nothing_else_that_is_forwarded() {
    let scene = Scene::new();
    let client = &scene.lab.client;
    let running = scene.gate_alone("inside-interfaces = [\"in*\"]");
    // A port that no resource has, and one that a resource has for this machine alone.
    assert_eq!(connect(client, "10.77.3.2:24"), Open);
    assert_eq!(connect(client, "10.77.3.2:23"), Open);
    assert_eq!(connect(client, "10.77.1.1:23"), Silent);
    // The port that 8080 is translated to is not the port that was asked for.
    assert_eq!(connect(client, "10.77.3.2:80"), Open);
    assert!(echoes(client, "10.77.3.2:60011"));
    // From inside to others' SSH.
    assert_eq!(connect(&scene.inside, "10.77.1.2:22"), Open);
    running.stop().unwrap();
    // Unless nobody has said what is inside: closed is the safe side.
    let running = scene.gate_alone("");
    assert_eq!(connect(&scene.inside, "10.77.1.2:22"), Silent);
    assert_eq!(connect(&scene.inside, "10.77.1.2:24"), Open);
    drop(running);
}

#[test]
fn a_lease_for_this_machine_opens_nothing_behind_it() {
    let scene = Scene::new();
    let client = &scene.lab.client;
    let swapped = RESOURCES
        .replace("00000001", "other")
        .replace("00000002", "00000001")
        .replace("other", "00000002");
    scene.lab.server.run("nft", &[CHAIN_RULES, ONE_MORE]).unwrap();
    let running = gate(&scene.lab, &format!("{NO_SHIELD}\n{CHAIN}"), &swapped);
    let _here = scene.lab.server.listen(23).unwrap();
    assert_eq!(alice(client, SERVER, "knock"), 0);
    assert_eq!(connect(client, "10.77.1.1:23"), Open);
    assert_eq!(connect(client, "10.77.3.2:23"), Silent);
    drop(running);
}

#[test]
fn a_closed_port_is_rejected_behind_this_machine_too() {
    let scene = Scene::new();
    let running = scene.gate("closed = \"reject\"");
    assert_eq!(scene.meets(1), [Refused; 4]);
    drop(running);
}

/// What conntrack does not follow is judged by the port in the packet.
#[test]
fn an_untracked_packet_is_no_way_around() {
    let scene = Scene::new();
    let notrack = "table inet raw { chain in { type filter hook prerouting priority raw; notrack;
    }
}";
    scene.lab.server.run("nft", &[notrack]).unwrap();
    assert_eq!(connect(&scene.lab.client, "10.77.3.2:22"), Open);
    let running = scene.gate_alone("");
    assert_eq!(connect(&scene.lab.client, "10.77.3.2:22"), Silent);
    assert_eq!(connect(&scene.lab.client, "10.77.3.2:24"), Open);
    drop(running);
}
