//! A gate, a wire to it, and eyes on both ends of the wire.

use crate::{answer::Answer, network::FAMILIES};
use anyhow::Context as _;
use letmein_common::wire::challenge::SALT_LEN;
use letmein_tests::{
    frames::{Link, Mac},
    gate::Gate,
    lab::Lab,
    tap::Tap,
};
use nix::{
    sched::{CpuSet, sched_getcpu, sched_setaffinity},
    unistd::Pid,
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How long a frame or an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Frames on their way at one time; a veth pair holds 256.
const CHUNK: usize = 32;

/// Counters by name, without those that did not change.
pub type Counts = BTreeMap<String, u64>;

/// What came of some frames.
#[derive(Default)]
pub struct Seen {
    /// Frames that the server's kernel got, also some of the client's own kernel.
    pub reached: Vec<Vec<u8>>,
    /// Datagrams from the control port.
    pub answers: Vec<Answer>,
}

pub struct Site {
    pub lab: Lab,
    pub gate: Gate,
    /// From the client to the server.
    pub link: Link,
    client: Tap,
    server: Tap,
    salts: u64,
    ports: u16,
    counted: Counts,
    /// Knocks of [`Site::settle`] since the counters were read.
    own_knocks: u64,
}

impl Site {
    /// A gate that limits no rate.
    pub fn new(xdp: &str) -> Self {
        Self::with(Lab::new().unwrap(), &format!("xdp = \"{xdp}\"\nrate = 0"))
    }

    /// A gate with these lines in `[gate]`.
    pub fn with(lab: Lab, gate: &str) -> Self {
        let gate = Gate::start(&lab.server, gate, "", "1h").unwrap();
        let client = Tap::open(&lab.client, "to-server").unwrap();
        let server = Tap::open(&lab.server, "to-peer1").unwrap();
        know(&lab, client.address());
        // Without native XDP a frame is received on the CPU that sends it, and on another one it could
        // overtake those before it.
        let mut here = CpuSet::new();
        here.set(sched_getcpu().unwrap()).unwrap();
        sched_setaffinity(Pid::from_raw(0), &here).unwrap();
        Self {
            link: Link {
                source: client.address(),
                destination: server.address(),
            },
            lab,
            gate,
            client,
            server,
            salts: 0,
            ports: 20_000,
            counted: Counts::new(),
            own_knocks: 0,
        }
    }

    /// A port that nobody has used yet.
    pub fn port(&mut self) -> u16 {
        self.ports += 1;
        self.ports
    }

    /// A salt that nobody has used yet.
    pub fn salt(&mut self) -> [u8; SALT_LEN] {
        self.salts += 1;
        self.salts.to_be_bytes()
    }

    /// Sends the frames, waits until all of them were dealt with, and tells what came of them. Without frames it
    /// waits for what others have sent.
    pub fn send(&mut self, frames: &[Vec<u8>]) -> Seen {
        let mut seen = Seen::default();
        for chunk in frames.chunks(CHUNK) {
            self.send_at_once(chunk);
            self.settle(&mut seen);
        }
        if frames.is_empty() {
            self.settle(&mut seen);
        }
        seen
    }

    /// Sends a few frames and waits for nothing.
    pub fn send_at_once(&self, frames: &[Vec<u8>]) {
        for frame in frames {
            self.client.send(frame).unwrap();
        }
    }

    /// Forgets all frames so far. Necessary after more of them than the taps hold.
    pub fn forget(&mut self) {
        for tap in [&mut self.client, &mut self.server] {
            while tap.receive(Instant::now()).unwrap().is_some() {}
        }
    }

    /// Knocks, over both address families. Frames and answers stay in order, so what comes of the frames before
    /// has come when the gate's answer has.
    fn settle(&mut self, seen: &mut Seen) {
        for family in FAMILIES {
            let knock = self.knock();
            let frame = self.plain(family, &knock);
            let from = SocketAddr::new(family.client(), self.ports);
            self.client.send(&frame).unwrap();
            self.own_knocks += 1;
            let deadline = Instant::now() + PATIENCE;
            loop {
                let next = self.server.receive(deadline).unwrap();
                let next = next.context("a genuine knock did not reach the server").unwrap();
                if next == frame {
                    break;
                }
                seen.reached.push(next);
            }
            loop {
                let next = self.client.receive(deadline).unwrap();
                let next = next.context("a genuine knock was not answered").unwrap();
                match Answer::find(&next) {
                    Some(answer) if answer.to == from => break,
                    Some(answer) => seen.answers.push(answer),
                    None => {}
                }
            }
        }
    }

    /// What the gate has counted since it was last asked, without what [`Site::send`] sends by itself.
    pub fn counts(&mut self) -> Counts {
        let now: Counts = self.gate.counters().unwrap().into_iter().collect();
        let before = std::mem::replace(&mut self.counted, now.clone());
        let mut counts: Counts = now
            .into_iter()
            .map(|(name, count)| (name.clone(), count - before.get(&name).unwrap_or(&0)))
            .collect();
        *counts.get_mut("genuine").unwrap() -= std::mem::take(&mut self.own_knocks);
        counts.retain(|_, count| *count > 0);
        counts
    }
}

/// Tells the server the client's Ethernet address. Or it would ask for it, and ask a second time a second later if
/// the interface is not yet ready for IPv6.
fn know(lab: &Lab, client: Mac) {
    let address = client.map(|byte| format!("{byte:02x}")).join(":");
    for family in FAMILIES {
        let mut command = lab.server.command("ip");
        command.args([
            "neigh",
            "replace",
            &family.client().to_string(),
            "lladdr",
            &address,
        ]);
        command.args(["dev", "to-peer1"]);
        assert!(command.status().unwrap().success());
    }
}
