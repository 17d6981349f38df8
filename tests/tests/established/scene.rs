//! A server with services of its own and behind it, and a guest who was let in and no longer is.

use crate::guest::Guest;
use letmein_tests::{
    gate::Gate,
    lab::{Host, Lab},
};
use socket2::{Domain, Socket, Type};
use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    thread::sleep,
    time::{Duration, Instant},
};

/// The past guest's addresses, and those of one who holds a lease all the time.
pub const PAST: [&str; 2] = ["10.77.1.77", "fd77:1::77"];
pub const PRESENT: [&str; 2] = ["10.77.1.78", "fd77:1::78"];

const NAT: &str = "table inet translate { chain in { type nat hook prerouting priority dstnat;
    meta nfproto ipv4 tcp dport 8080 dnat ip to 10.77.3.2:80
    meta nfproto ipv6 tcp dport 8080 dnat ip6 to [fd77:3::2]:80
    meta nfproto ipv4 udp dport 60008 dnat ip to 10.77.3.2:60008;
    }
}";

/// Where the guest asks, and the service that answers: on the server or behind it.
pub struct Target {
    pub to: SocketAddr,
    pub service: TcpListener,
}

pub struct Scene {
    pub lab: Lab,
    pub inside: Host,
    pub guest: Guest,
    pub targets: Vec<Target>,
}

impl Scene {
    /// On a server with this ruleset, as `nft` is told of it, if there is one.
    pub fn new(rules: &[&str]) -> Self {
        let lab = Lab::new().unwrap();
        let inside = lab.inside().unwrap();
        lab.server.run("nft", &[NAT]).unwrap();
        if !rules.is_empty() {
            lab.server.run("nft", rules).unwrap();
        }
        for host in [&lab.server, &inside] {
            set(host, "ipv4/tcp_fin_timeout", 1);
        }
        let addresses: Vec<IpAddr> = [PAST, PRESENT]
            .concat()
            .iter()
            .map(|address| address.parse().unwrap())
            .collect();
        let guest = Guest::new(&lab, &addresses);
        let [ssh, range] = [22, 7005].map(|port| listen(&lab.server, port));
        let [ssh_inside, range_inside, http_inside] = [22, 7005, 80].map(|port| listen(&inside, port));
        let targets = [
            ("10.77.1.1:22", &ssh),
            ("[fd77:1::1]:22", &ssh),
            ("10.77.1.1:7005", &range),
            ("10.77.3.2:22", &ssh_inside),
            ("[fd77:3::2]:7005", &range_inside),
            ("10.77.1.1:8080", &http_inside),
            ("[fd77:1::1]:8080", &http_inside),
        ]
        .map(|(to, service)| Target {
            to: to.parse().unwrap(),
            service: service.try_clone().unwrap(),
        })
        .into();
        Self {
            lab,
            inside,
            guest,
            targets,
        }
    }

    /// letmeind, with these lines in its sections `gate`, `firewall` and that of the only resource.
    pub fn gate(&self, gate: &str, firewall: &str, resource: &str) -> Gate {
        let running = Gate::start_with(&self.lab.server, &configuration(gate, firewall, resource)).unwrap();
        // Or what a guest has broken off is forgotten before a busy machine has come to it.
        self.conntrack("tcp_timeout_close", 120);
        running
    }

    /// Sets a number of conntrack's, once letmeind has made use of that.
    pub fn conntrack(&self, name: &str, value: u32) {
        set(&self.lab.server, &format!("netfilter/nf_conntrack_{name}"), value);
    }

    /// Waits until the server and the host behind it have no connection left that is half closed.
    pub fn forgotten(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        let lists = ["-c", "cat /proc/net/tcp /proc/net/tcp6"];
        // FIN_WAIT2 of the kernel's `net/tcp_states.h`.
        let waits = |line: &str| line.split_whitespace().nth(3) == Some("05");
        for host in [&self.lab.server, &self.inside] {
            while host.run("sh", &lists).unwrap().lines().any(waits) {
                assert!(Instant::now() < deadline, "a socket stays in FIN_WAIT2");
                sleep(Duration::from_millis(20));
            }
        }
    }
}

pub fn configuration(gate: &str, firewall: &str, resource: &str) -> String {
    format!(
        "[gate]\ninterfaces = [\"to-peer1\", \"to-peer2\"]\n{gate}\n[firewall]\n{firewall}\n\
         [resources.it]\nid = \"00000001\"\nforward = true\n{resource}\n\
         ports = [\"tcp/22\", \"tcp/8080\", \"tcp/7000-7010\", \"udp/60000-60010\"]\n\
         [users.alice]\nid = \"00000001\"\nkey-file = \"alice.key\"\nresources = [\"it\"]\n"
    )
}

/// As [`Host::listen`], for more connections at a time.
fn listen(host: &Host, port: u16) -> TcpListener {
    host.enter(|| {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        let any: SocketAddr = ([0_u8; 16], port).into();
        socket.bind(&any.into()).unwrap();
        socket.listen(4096).unwrap();
        socket.into()
    })
    .unwrap()
}

/// Sets a number in `/proc/sys/net` of this host.
fn set(host: &Host, name: &str, value: u32) {
    let command = format!("echo {value} >/proc/sys/net/{name}");
    host.run("sh", &["-c", &command]).unwrap();
}

/// Lets these in, as `letmeind open` does.
pub fn open(gate: &Gate, addresses: &[&str]) {
    for address in addresses {
        let output = gate.operate("open", &["it", address, "--for", "1h"]).unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// And no longer.
pub fn revoke(gate: &Gate, addresses: &[&str]) {
    for address in addresses {
        let output = gate.operate("revoke", &[address]).unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
