//! What a port scanner sees.
//! Needs root, and nmap.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_tests::{
    gate::{Gate, KEY, configuration},
    lab::{Host, Lab},
};
use std::{
    collections::BTreeMap,
    net::{TcpListener, UdpSocket},
    thread,
};

/// Of each transport a protected port (22, 51820), an open one (80, 53) and the control port; and one without a service.
const PORTS: &str = "T:22,80,81,5800,U:53,5800,51820";
/// Patient enough for a busy machine; a port that does not answer costs three times that.
const PATIENCE: [&str; 4] = ["--min-rtt-timeout", "300ms", "--max-retries", "2"];

/// The server with services on its ports, two of which the gate protects.
struct Scene {
    lab: Lab,
    _services: [TcpListener; 2],
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new().unwrap();
        let services = [22, 80].map(|port| lab.server.listen(port).unwrap());
        for port in [53, 51820] {
            answer(&lab.server, port);
        }
        Self {
            lab,
            _services: services,
        }
    }

    fn start(&self, gate: &str, firewall: &str) -> Gate {
        let configuration =
            configuration(gate, firewall, "1h").replace("[\"tcp/22\"]", "[\"tcp/22\", \"udp/51820\"]");
        Gate::start_with(&self.lab.server, &configuration).unwrap()
    }
}

/// Answers whatever comes.
fn answer(host: &Host, port: u16) {
    let address = format!("0.0.0.0:{port}");
    let socket = host.enter(|| UdpSocket::bind(address)).unwrap().unwrap();
    // Ends with the test's process.
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let _unreachable = socket.send_to(&buffer[..length], peer);
        }
    });
}

/// A SYN scan and a UDP scan. Returns what nmap makes of each port.
fn scan(host: &Host, target: &str) -> BTreeMap<String, String> {
    let what = ["-n", "-Pn", "-sS", "-sU", "-p", PORTS, "-oG", "-", target];
    let output = host.run("nmap", &[&PATIENCE[..], &what].concat()).unwrap();
    let (_, ports) = output.split_once("Ports: ").unwrap();
    let ports = ports.split('\t').next().unwrap().split(", ");
    ports
        .map(|port| {
            let fields: Vec<_> = port.split('/').collect();
            (format!("{}/{}", fields[2], fields[0]), fields[1].to_owned())
        })
        .collect()
}

/// What the scan finds of the ports that the gate closes and of the control port; the rest is as it is without a gate.
#[track_caller]
fn assert_seen(host: &Host, target: &str, [ssh, vpn, control_tcp, control_udp]: [&str; 4]) {
    let expected = [
        ("tcp/22", ssh),
        ("tcp/80", "open"),
        ("tcp/81", "closed"),
        ("tcp/5800", control_tcp),
        ("udp/53", "open"),
        ("udp/5800", control_udp),
        ("udp/51820", vpn),
    ];
    let expected = expected.map(|(port, state)| (port.to_owned(), state.to_owned()));
    assert_eq!(scan(host, target), BTreeMap::from(expected));
}

/// Who knocks over UDP only leaves nothing to be seen: not the ports, and not that there is a gate.
fn nothing_to_see(xdp: &str) {
    let scene = Scene::new();
    let lab = &scene.lab;
    assert_seen(&lab.other, "10.77.2.1", ["open", "open", "closed", "closed"]);
    let gate = scene.start(&format!("xdp = \"{xdp}\"\ntransports = [\"udp\"]"), "");
    let hidden = ["filtered", "open|filtered", "closed", "open|filtered"];
    assert_seen(&lab.client, "10.77.1.1", hidden);
    let arguments = ["knock", "gate", "ssh", "-U"];
    let code = gate.letmein(&lab.client, "10.77.1.1", &KEY, &arguments);
    assert_eq!(code.unwrap(), 0);
    let opened = ["open", "open", "closed", "open|filtered"];
    thread::scope(|scope| {
        scope.spawn(|| assert_seen(&lab.client, "10.77.1.1", opened));
        scope.spawn(|| assert_seen(&lab.other, "10.77.2.1", hidden));
    });
    gate.stop().unwrap();
    // Nobody listens on the control port any more, and the rest is as closed as it was.
    assert_seen(
        &lab.other,
        "10.77.2.1",
        ["filtered", "open|filtered", "closed", "closed"],
    );
}

#[test]
fn with_xdp() {
    nothing_to_see("native");
}

#[test]
fn without_xdp() {
    nothing_to_see("off");
}

/// The control port is there for TCP like any other server's. Ports that reject look as if they had no service.
#[test]
fn tcp_control_port_and_rejecting_ports() {
    let scene = Scene::new();
    let mut gate = scene.start("", "closed = \"reject\"");
    assert_seen(
        &scene.lab.other,
        "10.77.2.1",
        ["closed", "closed", "open", "open|filtered"],
    );
    // The scan's datagrams ended in the XDP program, counted.
    assert!(gate.counters().unwrap()["length"] > 0);
}
