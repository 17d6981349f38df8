//! A gate with a service behind it, and eyes on what gets as far as the server's kernel.

use letmein_tests::{
    frames::ETHERNET_LEN,
    gate::{Gate, KEY},
    lab::{Host, Lab, Outcome},
    tap::Tap,
};
use std::{
    net::{SocketAddr, TcpListener},
    time::Instant,
};

pub const SSH: u16 = 22;
const TCP: u8 = 6;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// An address family of the lab: the server's address for the client, and for the other host.
#[derive(Clone, Copy)]
pub struct Family {
    pub server: &'static str,
    pub server_of_other: &'static str,
}

pub const V4: Family = Family {
    server: "10.77.1.1",
    server_of_other: "10.77.2.1",
};
pub const V6: Family = Family {
    server: "fd77:1::1",
    server_of_other: "fd77:2::1",
};

impl Family {
    pub fn ssh(self) -> SocketAddr {
        SocketAddr::new(self.server.parse().unwrap(), SSH)
    }

    pub fn ssh_of_other(self) -> SocketAddr {
        SocketAddr::new(self.server_of_other.parse().unwrap(), SSH)
    }
}

/// The hosts, and a service on `tcp/22` of the server.
pub struct Scene {
    pub lab: Lab,
    pub service: TcpListener,
}

impl Scene {
    pub fn new() -> Self {
        let lab = Lab::new().unwrap();
        let service = lab.server.listen(SSH).unwrap();
        Self { lab, service }
    }

    pub fn knock(&self, gate: &Gate, family: Family) {
        assert_eq!(letmein(gate, &self.lab.client, family.server, "knock"), 0);
    }

    pub fn revoke(&self, gate: &Gate, family: Family) {
        assert_eq!(letmein(gate, &self.lab.client, family.server, "revoke"), 0);
    }

    pub fn client_meets(&self, family: Family) -> Outcome {
        self.lab.client.connect(family.ssh()).unwrap()
    }

    pub fn other_meets(&self, family: Family) -> Outcome {
        self.lab.other.connect(family.ssh_of_other()).unwrap()
    }

    /// Sees what comes from the client.
    pub fn watch_client(&self) -> Tap {
        Tap::open(&self.lab.server, "to-peer1").unwrap()
    }

    /// Sees what comes from the other host.
    pub fn watch_other(&self) -> Tap {
        Tap::open(&self.lab.server, "to-peer2").unwrap()
    }
}

/// Runs the client for `ssh`, and returns its exit code.
pub fn letmein(gate: &Gate, host: &Host, server: &str, verb: &str) -> i32 {
    gate.letmein(host, server, &KEY, &[verb, "gate", "ssh", "-U"])
        .unwrap()
}

/// How many packets the shield has dropped.
pub fn shielded(gate: &mut Gate) -> u64 {
    gate.counters().unwrap().get("shield").copied().unwrap_or(0)
}

/// How many SYNs to `tcp/22` got as far as the server's kernel since this was last asked. What a host has sent before
/// an attempt of it ended has come by then.
pub fn syns(tap: &mut Tap) -> usize {
    let mut count = 0;
    while let Some(frame) = tap.receive(Instant::now()).unwrap() {
        count += usize::from(is_syn(&frame).is_some());
    }
    count
}

fn is_syn(frame: &[u8]) -> Option<()> {
    let packet = frame.get(ETHERNET_LEN..)?;
    let (protocol, segment) = match packet.first()? >> 4 {
        4 => (packet.get(9)?, packet.get(20..)?),
        _ => (packet.get(6)?, packet.get(40..)?),
    };
    let flags = segment.get(13)?;
    (*protocol == TCP && segment.get(2..4)? == SSH.to_be_bytes() && flags & (SYN | ACK) == SYN).then_some(())
}
