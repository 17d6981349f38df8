//! UDP: only where it is asked for, and then every datagram takes a lease.

use crate::scene::{Scene, V4, shielded};
use letmein_tests::{
    gate::{Gate, configuration},
    lab::Host,
};
use std::{
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

/// With `shield-udp`.
const VPN: u16 = 51820;
/// Without.
const DNS: u16 = 53;
const PATIENCE: Duration = Duration::from_secs(20);
/// How long something is awaited that should not come.
const MOMENT: Duration = Duration::from_millis(300);

fn configure(gate: &str) -> String {
    configuration(gate, "", "1h")
        .replace("[\"tcp/22\"]", "[\"tcp/22\", \"udp/51820\"]\nshield-udp = true")
        .replace("[\"tcp/23\"]", "[\"tcp/23\", \"udp/53\"]")
}

fn bind(host: &Host, port: u16) -> UdpSocket {
    let any = (Ipv4Addr::UNSPECIFIED, port);
    host.enter(|| UdpSocket::bind(any)).unwrap().unwrap()
}

/// Has the client's socket send, and tells whether the server's received it.
fn arrives(client: &UdpSocket, server: &UdpSocket, port: u16, patience: Duration) -> bool {
    server.set_read_timeout(Some(patience)).unwrap();
    client.send_to(b"hello", (V4.server, port)).unwrap();
    server.recv_from(&mut [0; 16]).is_ok()
}

/// As conntrack counts what it has made an entry for or refused: what nftables dropped. Nothing that the shield did.
fn seen_by_firewall(scene: &Scene, port: u16) -> bool {
    let chain = scene
        .lab
        .server
        .run("nft", &["list", "chain", "inet", "eye", "in"])
        .unwrap();
    let rule = chain
        .lines()
        .find(|line| line.contains(&format!("dport {port} ")));
    !rule.unwrap().contains("packets 0 ")
}

fn a_datagram_takes_a_lease(xdp: &str) {
    let scene = Scene::new();
    let mut gate = Gate::start_with(&scene.lab.server, &configure(&format!("xdp = \"{xdp}\""))).unwrap();
    let eye = format!(
        "add table inet eye; add chain inet eye in {{ type filter hook input priority -20; }}; \
         add rule inet eye in udp dport {VPN} counter; add rule inet eye in udp dport {DNS} counter"
    );
    scene.lab.server.run("nft", &[&eye]).unwrap();
    let [vpn, dns] = [VPN, DNS].map(|port| bind(&scene.lab.server, port));
    let client = bind(&scene.lab.client, 0);

    assert!(!arrives(&client, &vpn, VPN, MOMENT));
    assert_eq!(shielded(&mut gate), 1);
    assert!(!arrives(&client, &dns, DNS, MOMENT));
    assert_eq!(shielded(&mut gate), 1);
    assert!(!seen_by_firewall(&scene, VPN) && seen_by_firewall(&scene, DNS));

    scene.knock(&gate, V4);
    assert!(arrives(&client, &vpn, VPN, PATIENCE));
    // Another port of the client's, and the way back.
    let (again, other) = (bind(&scene.lab.client, 0), bind(&scene.lab.other, 0));
    assert!(arrives(&again, &vpn, VPN, PATIENCE));
    vpn.send_to(b"back", ("10.77.1.2", client.local_addr().unwrap().port()))
        .unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.recv_from(&mut [0; 16]).unwrap();
    assert_eq!(shielded(&mut gate), 1);
    other.send_to(b"hello", (V4.server_of_other, VPN)).unwrap();

    // The price: what was established ends with the lease, which it would not with nftables alone.
    scene.revoke(&gate, V4);
    assert!(!arrives(&client, &vpn, VPN, MOMENT));
    assert_eq!(shielded(&mut gate), 3);
}

#[test]
fn native() {
    a_datagram_takes_a_lease("native");
}

#[test]
fn generic() {
    a_datagram_takes_a_lease("generic");
}

/// The first piece has the port, and without it the rest is worth nothing.
#[test]
fn a_datagram_in_pieces_does_not_get_through() {
    let scene = Scene::new();
    let mut gate = Gate::start_with(&scene.lab.server, &configure("")).unwrap();
    let vpn = bind(&scene.lab.server, VPN);
    let client = bind(&scene.lab.client, 0);
    let large = [7; 4000];
    client.send_to(&large, (V4.server, VPN)).unwrap();
    vpn.set_read_timeout(Some(MOMENT)).unwrap();
    assert!(vpn.recv_from(&mut [0; 5000]).is_err());
    assert_eq!(shielded(&mut gate), 1);
    scene.knock(&gate, V4);
    client.send_to(&large, (V4.server, VPN)).unwrap();
    vpn.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(vpn.recv_from(&mut [0; 5000]).unwrap().0, large.len());
}

/// Datagrams to other ports, and answers to what the server asks from other ports, are as without the shield.
#[test]
fn other_datagrams_pass() {
    let scene = Scene::new();
    let mut gate = Gate::start_with(&scene.lab.server, &configure("")).unwrap();
    let (client, echo) = (bind(&scene.lab.client, 0), bind(&scene.lab.server, 7));
    assert!(arrives(&client, &echo, 7, PATIENCE));
    // From one byte on: shorter than the program's short way looks.
    for length in [0, 1, 5, 6, 7] {
        client.send_to(&vec![1; length], (V4.server, 7)).unwrap();
        assert_eq!(echo.recv_from(&mut [0; 16]).unwrap().0, length);
        client.send_to(&vec![1; length], (V4.server, VPN)).unwrap();
    }
    assert_eq!(shielded(&mut gate), 5);
}
