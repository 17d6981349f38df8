//! A server that only takes silent knocks cannot be told from a machine that is off.

use crate::scene::{GATE, Scene, genuine};
use letmein_tests::{lab::Outcome, tap::Tap};
use std::{
    io::Write as _,
    net::UdpSocket,
    time::{Duration, Instant},
};
use tempfile::NamedTempFile;

/// A firewall as servers have one: nothing comes in but answers.
const DROP: &str = "add table inet mine
add chain inet mine input { type filter hook input priority 0; policy drop; }
add rule inet mine input iif lo accept
add rule inet mine input ct state established,related accept
add rule inet mine input icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
";
/// `EtherType` of what a host cannot be silent about, or nobody could send it anything.
const ARP: [u8; 2] = [0x08, 0x06];

fn load(scene: &Scene, ruleset: &str) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(ruleset.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    scene.lab.server.run("nft", &["-f", path]).unwrap();
}

#[test]
fn nothing_listens() {
    let scene = Scene::new();
    let _gate = scene.start("challenge = false", "1h");
    for sockets in ["-lnup", "-lntp"] {
        let listening = scene.lab.server.run("ss", &["-H", sockets]).unwrap();
        assert!(
            !listening.contains("letmeind") && !listening.contains(":5800"),
            "{listening}"
        );
    }
    let rules = scene.lab.server.run("nft", &["list", "ruleset"]).unwrap();
    assert!(!rules.contains("5800"), "{rules}");
}

/// A datagram to every UDP port, and some to the control port that look like knocks: nothing comes back, of any protocol.
/// Then a knock opens all the same, and still nothing came back for it.
#[test]
fn no_port_answers() {
    let scene = Scene::new();
    load(&scene, DROP);
    let mut gate = scene.start("challenge = false\nxdp = \"native\"", "1h");
    let mut tap = Tap::open(&scene.lab.client, "to-server").unwrap();
    scene
        .lab
        .client
        .enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for port in 1..=u16::MAX {
                // Nothing but an ICMP error could make this fail.
                socket.send_to(b"?", (GATE, port)).unwrap();
            }
            for length in [0, 1, 55, 56, 57, 87, 88, 89, 1400] {
                socket.send_to(&vec![0x5A; length], (GATE, 5800)).unwrap();
            }
            socket.send_to(&genuine(), (GATE, 5800)).unwrap();
        })
        .unwrap();
    gate.wait_for("alice opened ssh").unwrap();
    let deadline = Instant::now() + Duration::from_millis(500);
    while let Some(frame) = tap.receive(deadline).unwrap() {
        // What every IPv6 host tells all its neighbours is no answer to anybody.
        let to_client = frame[..6] == tap.address();
        assert!(!to_client || frame[12..14] == ARP, "the server sent {frame:02x?}");
    }
    let counters = gate.counters().unwrap();
    assert_eq!(counters["genuine"], 1, "{counters:?}");
    assert_eq!(counters["length"], 1 + 8, "{counters:?}");
    assert_eq!(counters["unknown-tag"], 1, "{counters:?}");
}

/// The server's own firewall need not be opened for it: in guard mode there is no rule about the control port, and a
/// ruleset that drops everything does not keep a knock out.
#[test]
fn a_firewall_that_drops_everything_does_not_keep_knocks_out() {
    let scene = Scene::new();
    load(
        &scene,
        &(DROP.to_owned() + "add rule inet mine input tcp dport 22 accept\n"),
    );
    let _gate = scene.start("challenge = false", "1h");
    assert_eq!(scene.port(), Outcome::Silent);
    scene
        .letmein(
            &[],
            &letmein_tests::gate::KEY,
            "",
            &["knock", "gate", "ssh", "--wait"],
        )
        .said("is open, after ");
}
