//! Interfaces whose packets have no Ethernet header.

use crate::scene::{Scene, Way, count, wait_for_count};
use letmein_tests::{
    frames::{Ipv4, Ipv6, TCP, UDP, tcp, udp},
    lab::Outcome,
    silent,
    tun::{Tunnel, set_up},
    wait::wait_until,
};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};

const SYN: u8 = 0x02;
/// `ARPHRD_SIT`, `ARPHRD_IPGRE` and `ARPHRD_INFINIBAND` of `linux/if_arp.h`.
const SIT: u16 = 776;
const IPGRE: u16 = 778;
const INFINIBAND: u16 = 32;

const SERVER6: Ipv6Addr = Ipv6Addr::new(0xFD77, 5, 0, 0, 0, 0, 0, 1);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0xFD77, 5, 0, 0, 0, 0, 0, 2);

fn ways(scene: &Scene) -> [Way<'_>; 2] {
    ["10.77.5.1", "fd77:5::1"].map(|server| Way {
        client: &scene.lab.client,
        server,
    })
}

#[test]
fn a_tun_is_guarded() {
    let scene = Scene::new();
    let _tunnel = Tunnel::new(&scene.lab.server, &scene.lab.client, "tun0").unwrap();
    // Beside one with an Ethernet header.
    let mut gate = scene.start(&["tun0", "to-peer1"], "");
    for way in ways(&scene) {
        way.is_guarded(&mut gate);
    }
    let ethernet = Way {
        client: &scene.lab.client,
        server: "10.77.1.1",
    };
    ethernet.is_guarded(&mut gate);
}

/// Where an Ethernet header has its type, an IPv6 packet has a part of its source address.
#[test]
fn addresses_that_look_like_a_type_pass() {
    let scene = Scene::new();
    let _tunnel = Tunnel::new(&scene.lab.server, &scene.lab.client, "tun0").unwrap();
    // Type 0800, version 4 and five words; UDP; port 5800.
    let (client, server) = ("fd77:5:800:4500::11", "fd77:5:800:4500::16a8:1");
    for (host, address) in [(&scene.lab.server, server), (&scene.lab.client, client)] {
        let address = format!("{address}/64");
        host.run("ip", &["address", "add", &address, "dev", "tun0", "nodad"])
            .unwrap();
    }
    let mut gate = scene.start(&["tun0"], "");
    let address = |text: &str, port| SocketAddr::new(text.parse().unwrap(), port);
    let receiver = scene.lab.server.enter(|| UdpSocket::bind(address(server, 7777)));
    let receiver = receiver.unwrap().unwrap();
    receiver
        .set_read_timeout(Some(std::time::Duration::from_secs(30)))
        .unwrap();
    scene
        .lab
        .client
        .enter(|| {
            let sender = UdpSocket::bind(address(client, 7777)).unwrap();
            sender.send_to(b"hello", address(server, 7777)).unwrap();
        })
        .unwrap();
    let mut buffer = [0; 16];
    assert_eq!(receiver.recv(&mut buffer).unwrap(), 5);
    let counts = gate.counters().unwrap();
    assert_eq!(counts.values().sum::<u64>(), 0, "{counts:?}");
}

/// A GRE or SIT tunnel: XDP sees the packet that carries the other one, too. This kernel need not have those: a tun that says
/// it is one shows the program the same bytes.
#[test]
fn what_a_tunnel_carries_is_judged() {
    let scene = Scene::new();
    let client: SocketAddr = "10.77.5.2:40000".parse().unwrap();
    let server: SocketAddr = "10.77.5.1:22".parse().unwrap();
    let (client6, server6): (SocketAddr, SocketAddr) = ((CLIENT6, 40_000).into(), (SERVER6, 22).into());
    let v4 = |protocol, payload: &[u8]| {
        Ipv4::new([10, 77, 5, 2].into(), [10, 77, 5, 1].into()).packet(protocol, payload)
    };
    let v6 = |protocol, payload: &[u8]| Ipv6::new(CLIENT6, SERVER6).packet(protocol, payload);
    let outer = |protocol, carried: &[u8]| v4(protocol, carried);
    let gre = |kind: u16, flags: u16, carried: &[u8]| {
        let mut header = [flags.to_be_bytes(), kind.to_be_bytes()].concat();
        header.resize(4 + 4 * usize::try_from(flags.count_ones()).unwrap(), 0);
        outer(47, &[header, carried.to_vec()].concat())
    };
    let sit = |carried: &[u8]| outer(41, carried);
    let syn4 = v4(TCP, &tcp(client, server, SYN));
    let syn6 = v6(TCP, &tcp(client6, server6, SYN));
    for (hardware, closed) in [
        (
            IPGRE,
            vec![
                gre(0x0800, 0, &syn4),
                gre(0x86DD, 0, &syn6),
                gre(0x0800, 0xB000, &syn4),
                gre(0x86DD, 0x2000, &syn6),
            ],
        ),
        (SIT, vec![sit(&syn6), syn4.clone()]),
    ] {
        let tunnel = Tunnel::new(&scene.lab.server, &scene.lab.client, "tun0").unwrap();
        scene.ip("link set tun0 down");
        tunnel.near.set_type(hardware).unwrap();
        set_up(&scene.lab.server, "tun0", 1).unwrap();
        let mut gate = scene.start(&["tun0"], "");
        let before = gate.counters().unwrap();
        for packet in &closed {
            tunnel.near.send(packet).unwrap();
        }
        wait_for_count(&mut gate, &before, "shield", closed.len() as u64);
        // A silent knock by the tunnel.
        silent::settle(5);
        let knock = silent::Draft::default().seal();
        let port6 = SocketAddr::new(server6.ip(), 5800);
        let datagram = v6(UDP, &udp(client6, port6, &knock));
        let carried = if hardware == SIT {
            sit(&datagram)
        } else {
            gre(0x86DD, 0, &datagram)
        };
        tunnel.near.send(&carried).unwrap();
        wait_for_count(&mut gate, &before, "genuine", 1);
        wait_until("it opens", || {
            let leases = gate.operate("leases", &[]).unwrap().stdout;
            String::from_utf8(leases).unwrap().contains("fd77:5::2")
        });
        let revoked = gate.operate("revoke", &["all"]).unwrap();
        assert!(revoked.status.success(), "{revoked:?}");
        gate.stop().unwrap();
    }
}

/// An interface that is made again under its name may be another kind.
#[test]
fn of_another_kind_when_it_comes_back() {
    let scene = Scene::new();
    let mut gate = scene.start(&["to-peer1", "to-peer2"], "");
    let ethernet = Way {
        client: &scene.lab.client,
        server: "10.77.1.1",
    };
    ethernet.knocks_silently(&mut gate);
    scene.ip("link del to-peer1");
    let tunnel = Tunnel::new(&scene.lab.server, &scene.lab.client, "to-peer1").unwrap();
    gate.wait_for("XDP program attached again to to-peer1, generic")
        .unwrap();
    for way in ways(&scene) {
        way.is_guarded(&mut gate);
    }
    // A tun may also say that it is something else from now on.
    scene.ip("link set to-peer1 down");
    tunnel.near.set_type(INFINIBAND).unwrap();
    gate.wait_for("to-peer1 is without the XDP program").unwrap();
    drop(tunnel);
    scene.lab.join(1).unwrap();
    gate.wait_for("XDP program attached again to to-peer1, native")
        .unwrap();
    wait_until("it is found again", || ethernet.letmein(&["knock"]) == 0);
    assert_eq!(ethernet.meets(), Outcome::Open);
    assert!(count(&gate.counters().unwrap(), "genuine") > 0);
}

/// Without a folder to pin in, and after a reload.
#[test]
fn without_pins_and_after_a_reload() {
    let scene = Scene::new();
    let _tunnel = Tunnel::new(&scene.lab.server, &scene.lab.client, "tun0").unwrap();
    let configuration = scene.configuration(&["tun0", "to-peer1"], "");
    let unpinned = configuration
        .replace("silent = true", "")
        .lines()
        .map(|line| {
            if line.starts_with("pin-directory") {
                "pin-directory = \"/nowhere/letmein\"\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect::<String>();
    for (configuration, silently) in [(unpinned, false), (configuration, true)] {
        let letmeind = letmein_tests::letmeind::Letmeind::new(&scene.lab.server, &configuration).unwrap();
        let mut gate = letmeind.start().unwrap();
        let reloaded = gate.operate("reload", &[]).unwrap();
        assert!(reloaded.status.success(), "{reloaded:?}");
        for way in ways(&scene) {
            if silently {
                way.is_guarded(&mut gate);
            } else {
                way.opens_by_challenge(&mut gate);
            }
        }
        gate.stop().unwrap();
    }
}
