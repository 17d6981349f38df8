//! `cut`: connections end with the lease that let them in.

use super::{SERVER, SERVER_V6, alice, gate, stream::Stream};
use letmein_tests::{gate::Gate, lab::Lab, nft::CHAIN_RULES};
use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, UdpSocket},
    thread::sleep,
    time::{Duration, Instant},
};

const CHAIN: &str = "mode = \"chain\"";

fn resource(lease: &str, options: &str) -> String {
    format!(
        "[resources.ssh]\nid = \"00000001\"\nports = [\"tcp/22\", \"tcp/8080\", \"udp/60000-60010\"]\nlease = \"{lease}\"\n{options}"
    )
}

struct Scene {
    lab: Lab,
    ssh: TcpListener,
}

impl Scene {
    fn new(firewall: &str) -> Self {
        let lab = Lab::new().unwrap();
        let ssh = lab.server.listen(22).unwrap();
        if firewall == CHAIN {
            lab.server.run("nft", &[CHAIN_RULES]).unwrap();
        }
        Self { lab, ssh }
    }

    fn gate(&self, firewall: &str, lease: &str, options: &str) -> Gate {
        gate(&self.lab, firewall, &resource(lease, options))
    }

    fn open(&self, to: &str) -> Stream {
        Stream::open(&self.lab.client, &format!("{to}:22"), &self.ssh)
    }
}

/// A revocation ends the connections of one address family, and leaves others alone.
fn revoking(firewall: &str) {
    let scene = Scene::new(firewall);
    let client = &scene.lab.client;
    let mut running = scene.gate(firewall, "1h", "cut = true");
    for server in [SERVER, SERVER_V6] {
        assert_eq!(alice(client, server, "knock"), 0);
    }
    assert_eq!(alice(&scene.lab.other, "10.77.2.1", "knock"), 0);
    let mut streams = [scene.open(SERVER), scene.open(SERVER)];
    let mut v6 = scene.open("[fd77:1::1]");
    let mut others = Stream::open(&scene.lab.other, "10.77.2.1:22", &scene.ssh);
    assert_eq!(alice(client, SERVER, "revoke"), 0);
    running
        .wait_for("ended 2 connections to ssh from 10.77.1.2")
        .unwrap();
    for stream in &mut streams {
        assert!(stream.is_dead());
    }
    assert!(v6.works() && others.works());
    assert_eq!(alice(client, SERVER_V6, "revoke"), 0);
    assert!(v6.is_dead());
    assert!(others.works());
}

#[test]
fn a_revocation_ends_connections_in_guard_mode() {
    revoking("");
}

#[test]
fn a_revocation_ends_connections_in_chain_mode() {
    revoking(CHAIN);
}

/// Without a word from anybody, and after a restart as well.
fn running_out(firewall: &str) {
    let scene = Scene::new(firewall);
    // Longer than a restart takes in an emulated machine.
    let lease = "20s";
    let mut running = scene.gate(firewall, lease, "cut = true");
    assert_eq!(alice(&scene.lab.client, SERVER, "knock"), 0);
    let mut stream = scene.open(SERVER);
    assert!(stream.works());
    running.stop().unwrap();
    running = scene.gate(firewall, lease, "cut = true");
    assert!(stream.works());
    running
        .wait_for("ended 1 connections whose leases have run out")
        .unwrap();
    assert!(stream.is_dead());
}

#[test]
fn a_lease_that_runs_out_ends_connections_in_guard_mode() {
    running_out("");
}

#[test]
fn a_lease_that_runs_out_ends_connections_in_chain_mode() {
    running_out(CHAIN);
}

#[test]
fn a_refreshed_lease_keeps_its_connections() {
    let scene = Scene::new("");
    let mut running = scene.gate("", "6s", "cut = true");
    assert_eq!(alice(&scene.lab.client, SERVER, "knock"), 0);
    let (mut stream, begun) = (scene.open(SERVER), Instant::now());
    sleep(Duration::from_secs(3));
    assert_eq!(alice(&scene.lab.client, SERVER, "knock"), 0);
    sleep(Duration::from_millis(7500).saturating_sub(begun.elapsed()));
    assert!(stream.works());
    running.wait_for("ended 1 connections").unwrap();
    assert!(stream.is_dead());
}

#[test]
fn without_cut_a_connection_lives_on() {
    let scene = Scene::new("");
    let running = scene.gate("", "2s", "");
    assert_eq!(alice(&scene.lab.client, SERVER, "knock"), 0);
    let mut stream = scene.open(SERVER);
    sleep(Duration::from_secs(3));
    assert!(stream.works());
    assert_eq!(alice(&scene.lab.client, SERVER, "knock"), 0);
    assert_eq!(alice(&scene.lab.client, SERVER, "revoke"), 0);
    assert!(stream.works());
    drop(running);
}

/// As a shell over UDP does it: the server goes on sending to where it last heard from, whoever has closed what.
#[test]
fn a_udp_flow_ends_though_the_server_goes_on_sending_and_begins_again_with_a_new_lease() {
    for firewall in ["", CHAIN] {
        let scene = Scene::new(firewall);
        let client = &scene.lab.client;
        let running = scene.gate(firewall, "1h", "cut = true");
        let bind = |host: &letmein_tests::lab::Host, to: &str| {
            let to: SocketAddr = to.parse().unwrap();
            let socket = host.enter(|| UdpSocket::bind(to)).unwrap().unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
            socket
        };
        let here = bind(&scene.lab.server, "10.77.1.1:60001");
        let there = bind(client, "10.77.1.2:60002");
        here.connect("10.77.1.2:60002").unwrap();
        there.connect("10.77.1.1:60001").unwrap();
        let passes = |from: &UdpSocket, to: &UdpSocket| {
            // What is dropped on its way out is an error to the sender.
            let _dropped = from.send(b"?");
            match to.recv(&mut [0; 8]) {
                Ok(_) => true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(alice(client, SERVER, "knock"), 0);
        assert!(passes(&there, &here) && passes(&here, &there));
        assert_eq!(alice(client, SERVER, "revoke"), 0);
        for _ in 0..2 {
            assert!(!passes(&here, &there), "from the server");
            assert!(!passes(&there, &here), "from the client");
        }
        // What the server has to say to others is none of this.
        let other = bind(client, "10.77.1.2:60003");
        here.send_to(b"?", "10.77.1.2:60003").unwrap();
        other.recv(&mut [0; 8]).unwrap();

        assert_eq!(alice(client, SERVER, "knock"), 0);
        assert!(passes(&there, &here) && passes(&here, &there));
        drop(running);
    }
}

/// Behind this machine: routed, and translated from port 8080 as Docker does it, which also hides the addresses inside.
fn behind(firewall: &str) {
    let scene = Scene::new(firewall);
    let inside = scene.lab.inside().unwrap();
    let services = [22, 80, 8080].map(|port| inside.listen(port).unwrap());
    let running = scene.gate(firewall, "1h", "cut = true\nforward = true");
    for (translated_to, service) in [(80, &services[1]), (8080, &services[2])] {
        let nat = format!(
            "add table ip translate; flush table ip translate; table ip translate {{
                chain before {{ type nat hook prerouting priority dstnat;
                    iifname \"to-peer1\" tcp dport 8080 dnat to 10.77.3.2:{translated_to};
                }}
                chain after {{ type nat hook postrouting priority srcnat;
                    ip saddr 10.77.3.0/24 masquerade;
                }}
            }}"
        );
        scene.lab.server.run("nft", &[&nat]).unwrap();
        assert_eq!(alice(&scene.lab.client, SERVER, "knock"), 0);
        let mut streams = [
            Stream::open(&scene.lab.client, "10.77.3.2:22", &services[0]),
            Stream::open(&scene.lab.client, "10.77.1.1:8080", service),
        ];
        for stream in &mut streams {
            assert!(stream.works());
        }
        assert_eq!(alice(&scene.lab.client, SERVER, "revoke"), 0);
        for stream in &mut streams {
            assert!(stream.is_dead());
        }
    }
    drop(running);
}

#[test]
fn a_revocation_ends_what_is_forwarded_in_guard_mode() {
    behind("");
}

#[test]
fn a_revocation_ends_what_is_forwarded_in_chain_mode() {
    behind(CHAIN);
}

/// A lease for this machine's port has nothing to do with the same port of others.
#[test]
fn what_is_forwarded_past_a_lease_lives_on() {
    let scene = Scene::new("");
    let inside = scene.lab.inside().unwrap();
    let ssh = inside.listen(22).unwrap();
    let running = scene.gate("", "1h", "cut = true");
    assert_eq!(alice(&scene.lab.client, SERVER, "knock"), 0);
    let mut past = Stream::open(&scene.lab.client, "10.77.3.2:22", &ssh);
    let mut stream = scene.open(SERVER);
    assert_eq!(alice(&scene.lab.client, SERVER, "revoke"), 0);
    assert!(stream.is_dead());
    assert!(past.works());
    drop(running);
}
