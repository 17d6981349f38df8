//! What a resource can be, from the knock to the service.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod cut;
mod forward;
mod healed;
mod jump;
mod ports;
mod refused;
mod stream;

use letmein_tests::{
    gate::{Gate, KEY, letmein},
    lab::{Host, Lab},
};
use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

const SERVER: &str = "10.77.1.1";
const SERVER_V6: &str = "fd77:1::1";

/// The user of every configuration here, who may open everything.
const ALICE: &str = "[users.alice]\nid = \"00000001\"\nkey-file = \"alice.key\"\nresources = [\"*\"]\n";
/// Another one, with the same key, who has no list.
const BOB: &str = "[users.bob]\nid = \"00000002\"\nkey-file = \"alice.key\"\n";

/// A gate with these resources; alice may open all of them.
fn configuration(firewall: &str, resources: &str) -> String {
    format!("[gate]\ninterfaces = [\"to-peer1\", \"to-peer2\"]\n[firewall]\n{firewall}\n{resources}\n{ALICE}")
}

fn gate(lab: &Lab, firewall: &str, resources: &str) -> Gate {
    Gate::start_with(&lab.server, &configuration(firewall, resources)).unwrap()
}

/// Knocks or revokes as alice (1) or bob (2) on resource 00000001. Returns the client's exit code.
fn as_user(user: u32, host: &Host, server: &str, verb: &str) -> i32 {
    let configuration = format!(
        "[servers.gate]\nhost = \"{server}\"\nuser = \"{user:08}\"\ntimeout = \"2s\"\nkey-file = \"alice.key\"\n\
         [servers.gate.resources]\nit = {{ id = \"00000001\" }}\n"
    );
    letmein(host, &configuration, &KEY, &[verb, "gate", "it"]).unwrap()
}

fn alice(host: &Host, server: &str, verb: &str) -> i32 {
    as_user(1, host, server, verb)
}

/// A service on UDP that sends everything back.
fn echo(host: &Host, port: u16) {
    let socket = host
        .enter(|| UdpSocket::bind((IpAddr::from([0_u8; 16]), port)))
        .unwrap()
        .unwrap();
    thread::spawn(move || {
        let mut datagram = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut datagram) {
            // A client that has gone makes this fail, which is no matter.
            let _sent = socket.send_to(&datagram[..length], from);
        }
    });
}

/// Whether a datagram from this host is echoed, each time from a new port.
fn echoes(host: &Host, to: &str) -> bool {
    let to: SocketAddr = to.parse().unwrap();
    let any: IpAddr = if to.is_ipv4() {
        [0; 4].into()
    } else {
        [0_u8; 16].into()
    };
    host.enter(|| {
        let socket = UdpSocket::bind((any, 0)).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        socket.send(b"?").is_ok() && socket.recv(&mut [0; 8]).is_ok()
    })
    .unwrap()
}
