//! UDP: what goes on after the lease is the flow that was answered within it, and no other.

use crate::scene::{Scene, open, revoke};
use letmein_tests::{lab::Host, nft::CHAIN_RULES};
use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

const CLIENT: &str = "10.77.1.2";
const SOON: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_millis(300);

fn bind(host: &Host, at: &str) -> UdpSocket {
    let at: SocketAddr = at.parse().unwrap();
    host.enter(|| UdpSocket::bind(at)).unwrap().unwrap()
}

/// Whether a datagram gets through: what is dropped on its way out, or was refused before, is an error to the sender.
fn passes(from: &UdpSocket, to: SocketAddr, at: &UdpSocket, within: Duration) -> bool {
    at.set_read_timeout(Some(within)).unwrap();
    let sent = from.send_to(b"?", to);
    if sent.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
        let _sent = from.send_to(b"?", to);
    }
    at.recv_from(&mut [0; 8]).is_ok()
}

/// A port of the client's, and the service that it talks to.
struct Flow<'a> {
    client: UdpSocket,
    /// As the client has it.
    to: SocketAddr,
    service: &'a UdpSocket,
}

impl Flow<'_> {
    fn asks(&self, within: Duration) -> bool {
        passes(&self.client, self.to, self.service, within)
    }

    fn is_answered(&self, within: Duration) -> bool {
        passes(
            self.service,
            self.client.local_addr().unwrap(),
            &self.client,
            within,
        )
    }
}

fn goes_on(firewall: &str, rules: &[&str], cut: bool) {
    let scene = Scene::new(rules);
    let (server, client) = (&scene.lab.server, &scene.lab.client);
    let running = scene.gate("xdp = \"off\"", firewall, if cut { "cut = true" } else { "" });
    let here = bind(server, "10.77.1.1:60005");
    let other = bind(server, "10.77.1.1:60006");
    let inside = bind(&scene.inside, "10.77.3.2:60008");
    let flow = |port: u16, service, to: u16| Flow {
        client: bind(client, &format!("{CLIENT}:{port}")),
        to: ([10, 77, 1, 1], to).into(),
        service,
    };
    for (service, to, port) in [(&here, 60005, 40_000), (&inside, 60008, 41_000)] {
        open(&running, &[CLIENT]);
        let answered = flow(port, service, to);
        assert!(answered.asks(SOON) && answered.is_answered(SOON) && answered.asks(SOON));
        let unanswered = flow(port + 1, service, to);
        assert!(unanswered.asks(SOON));
        // From a port that has not asked for anything.
        let called = flow(port + 2, service, to);
        let is_here = std::ptr::eq(service, &raw const here);
        if is_here {
            assert!(called.is_answered(SOON) && called.asks(SOON));
        }

        revoke(&running, &[CLIENT]);
        for _ in 0..2 {
            assert!(!unanswered.asks(SILENCE), "{to}: it was no conversation");
            assert!(!flow(port + 3, service, to).asks(SILENCE), "{to}: another port");
            if cut {
                assert!(!answered.is_answered(SILENCE) && !answered.asks(SILENCE), "{to}");
                assert!(!is_here || !called.is_answered(SILENCE) && !called.asks(SILENCE));
            } else {
                assert!(answered.asks(SOON) && answered.is_answered(SOON), "{to}");
                assert!(!is_here || called.asks(SOON) && called.is_answered(SOON));
            }
        }
        let elsewhere = Flow {
            client: answered.client,
            to: ([10, 77, 1, 1], 60006).into(),
            service: &other,
        };
        assert!(!elsewhere.asks(SILENCE), "another service");
    }
    // What this machine asks is answered without a lease.
    let asked = bind(&scene.lab.other, "10.77.2.2:40000");
    let here = bind(server, "10.77.2.1:60007");
    assert!(passes(&here, asked.local_addr().unwrap(), &asked, SOON));
    assert!(passes(&asked, here.local_addr().unwrap(), &here, SOON));
}

#[test]
fn in_guard_mode() {
    goes_on("", &[], false);
}

#[test]
fn in_guard_mode_that_rejects() {
    goes_on("closed = \"reject\"", &[], false);
}

#[test]
fn in_chain_mode() {
    goes_on("mode = \"chain\"", &[CHAIN_RULES], false);
}

#[test]
fn unless_it_is_cut_in_guard_mode() {
    goes_on("", &[], true);
}

#[test]
fn unless_it_is_cut_in_chain_mode() {
    goes_on("mode = \"chain\"", &[CHAIN_RULES], true);
}
