//! Silent knocks that the kernel would not have delivered: from addresses that nobody on the wire can have, and to addresses
//! of others. Every one of them is genuine.

use crate::scene::{Scene, counted, genuine};
use letmein_tests::{
    frames::{IPV4, IPV6, Ipv4, Ipv6, Link, UDP, udp},
    gate::Gate,
    lab::Outcome,
    silent::{Draft, send, settle},
    tap::Tap,
};
use std::net::{IpAddr, SocketAddr};

/// Nobody has these, wherever the gate is.
const NOBODYS: [(&str, &str); 11] = [
    ("0.0.0.0", "10.77.1.1"),
    ("0.0.0.7", "10.77.1.1"),
    ("127.0.0.1", "10.77.1.1"),
    ("224.0.0.1", "10.77.1.1"),
    ("240.0.0.1", "10.77.1.1"),
    ("255.255.255.255", "10.77.1.1"),
    ("::", "fd77:1::1"),
    ("::1", "fd77:1::1"),
    ("::10.77.1.2", "fd77:1::1"),
    ("::ffff:10.77.1.2", "fd77:1::1"),
    ("ff02::2", "fd77:1::1"),
];
/// This machine has these, on one interface or the other, or a whole network.
const NOT_OF_THE_NETWORK: [(&str, &str); 4] = [
    ("10.77.1.1", "10.77.1.1"),
    ("10.77.2.1", "10.77.1.1"),
    ("10.77.1.255", "10.77.1.1"),
    ("fd77:2::1", "fd77:1::1"),
];
/// Not this machine, or not this machine alone.
const TO_OTHERS: [(&str, &str); 7] = [
    ("10.77.1.2", "10.77.1.3"),
    ("10.77.1.2", "192.0.2.9"),
    ("10.77.1.2", "10.77.1.255"),
    ("10.77.1.2", "255.255.255.255"),
    ("10.77.1.2", "224.0.0.1"),
    ("fd77:1::2", "fd77:1::3"),
    ("fd77:1::2", "ff02::1"),
];

/// The wire between client and gate.
struct Wire {
    tap: Tap,
    link: Link,
}

impl Wire {
    fn open(scene: &Scene) -> Self {
        let tap = Tap::open(&scene.lab.client, "to-server").unwrap();
        let gate = Tap::open(&scene.lab.server, "to-peer1").unwrap();
        let link = Link {
            source: tap.address(),
            destination: gate.address(),
        };
        Self { tap, link }
    }

    /// Sends a genuine knock from one address to another.
    fn knock(&self, (from, to): (&str, &str)) {
        let [from, to] = [from, to].map(|address| address.parse::<IpAddr>().unwrap());
        let [source, control] = [SocketAddr::new(from, 40_000), SocketAddr::new(to, 5800)];
        let datagram = udp(source, control, &genuine());
        let frame = match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                self.link.frame(IPV4, &Ipv4::new(from, to).packet(UDP, &datagram))
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                self.link.frame(IPV6, &Ipv6::new(from, to).packet(UDP, &datagram))
            }
            _ => unreachable!("{from} and {to} are of two families"),
        };
        self.tap.send(&frame).unwrap();
    }
}

fn nothing_from_mars(xdp: &str) {
    let scene = Scene::new();
    let mut gate = scene.start(&format!("rate = 0\nxdp = \"{xdp}\""), "1h");
    settle(10);
    let wire = Wire::open(&scene);
    for ends in NOBODYS {
        wire.knock(ends);
    }
    let refused = NOBODYS.len() as u64;
    counted(&mut gate, &[("genuine", 0), ("martian", refused)]);
    // These prove their key first: then the kernel is asked.
    for ends in NOT_OF_THE_NETWORK.into_iter().chain(TO_OTHERS) {
        wire.knock(ends);
    }
    let late = (NOT_OF_THE_NETWORK.len() + TO_OTHERS.len()) as u64;
    counted(&mut gate, &[("genuine", late), ("martian", refused + late)]);
    assert_eq!(scene.port(), Outcome::Silent);
    assert!(!leases(&gate).contains("ssh"), "{}", leases(&gate));

    // And what the kernel does deliver opens: to the other address of this machine, one that it got a moment ago, and one of
    // a network that is routed to it as a whole.
    let ip = |arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').collect();
        scene.lab.server.run("ip", &arguments).unwrap();
    };
    ip("address add 10.77.1.9/24 dev to-peer1");
    ip("route add local 192.0.2.0/24 dev lo");
    let late = late + 3;
    for (number, to) in ["10.77.2.1", "10.77.1.9", "192.0.2.9"].into_iter().enumerate() {
        wire.knock((&format!("10.77.1.{}", 20 + number), to));
        gate.wait_for(&format!("alice opened ssh (tcp/22) for 10.77.1.{}", 20 + number))
            .unwrap();
    }
    counted(&mut gate, &[("genuine", late), ("martian", refused + late - 3)]);
}

#[test]
fn open_nothing_with_native_xdp() {
    nothing_from_mars("native");
}

#[test]
fn open_nothing_with_generic_xdp() {
    nothing_from_mars("generic");
}

/// What a socket gets, the kernel has delivered; but it may come from this machine itself.
#[test]
fn open_nothing_without_xdp() {
    let scene = Scene::new();
    let mut gate = scene.start("rate = 0\nxdp = \"off\"", "1h");
    settle(10);
    for to in ["127.0.0.1:5800", "[::1]:5800"] {
        send(&scene.lab.server, to.parse().unwrap(), &[&genuine()]).unwrap();
    }
    counted(&mut gate, &[("genuine", 0), ("martian", 2)]);
    assert!(!leases(&gate).contains("ssh"));
}

/// A knock that names one, by a user who may name others.
#[test]
fn are_not_opened_for() {
    let scene = Scene::new();
    let configuration = scene.configuration("rate = 0", "1h").replace(
        "resources = [\"ssh\"]",
        "resources = [\"ssh\"]\nother-addresses = true",
    );
    let mut gate = Gate::start_with(&scene.lab.server, &configuration).unwrap();
    for nobody in [
        "0.0.0.0",
        "127.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "ff02::1",
        "::10.77.1.2",
    ] {
        let draft = Draft {
            address: Some(nobody.parse().unwrap()),
            ..Draft::default()
        };
        scene.knock(&[&draft.seal()]);
    }
    // The log does not tell of each.
    gate.wait_for("is no address to open for").unwrap();
    let genuine = Draft {
        address: Some("10.77.1.2".parse().unwrap()),
        ..Draft::default()
    };
    scene.knock(&[&genuine.seal()]);
    gate.wait_for("alice opened ssh (tcp/22) for 10.77.1.2").unwrap();
    assert_eq!(leases(&gate).matches("ssh").count(), 1, "{}", leases(&gate));
}

fn leases(gate: &Gate) -> String {
    String::from_utf8(gate.operate("leases", &[]).unwrap().stdout).unwrap()
}
