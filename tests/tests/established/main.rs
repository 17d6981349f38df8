//! Who has been let in once gets no further than the connections that were begun then, whatever conntrack remembers of
//! them. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod backwards;
mod ends;
mod guest;
mod scene;
mod stage;
mod udp;

use letmein_tests::{document, frames::Segment, gate::Gate, nft::CHAIN_RULES};
use scene::{PAST, PRESENT, Scene, configuration, open, revoke};
use stage::{ACK, Flow, STAGES, SYN, Stage, bring};
use std::{
    collections::HashSet,
    fs,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    ops::Range,
};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../nftables.conf");
/// Sequence numbers that no connection of the scene comes near.
const LATER: u32 = 5_000_000;
/// Source ports of the guest's: as many for each stage and target as there are flags, and one more.
const PORTS: Range<u16> = 10_000..10_257;

/// All connections of the past guest, each for one byte of flags, and for each stage and target one that is left alone.
struct Past {
    attacks: Vec<(Flow, u8)>,
    others: Vec<Flow>,
}

impl Past {
    /// While there is a lease. `round` is a number for each call, so that no port is used twice.
    fn new(scene: &mut Scene, round: u16) -> Self {
        Self::with(scene, round, PORTS)
    }

    /// Those alone that are left alone.
    fn of_one_each(scene: &mut Scene) -> Self {
        Self::with(scene, 0, PORTS.start..PORTS.start + 1)
    }

    fn with(scene: &mut Scene, round: u16, ports: Range<u16>) -> Self {
        let mut past = Self {
            attacks: Vec::new(),
            others: Vec::new(),
        };
        for target in &scene.targets {
            for (place, stage) in STAGES.into_iter().enumerate() {
                let first = u16::try_from(place).unwrap() * 512 + round * 4096;
                let here: IpAddr = PAST[usize::from(target.to.is_ipv6())].parse().unwrap();
                let from: Vec<_> = ports
                    .clone()
                    .map(|port| SocketAddr::new(here, port + first))
                    .collect();
                let mut flows = bring(&mut scene.guest, stage, &from, target.to, &target.service);
                past.others.extend(flows.pop());
                past.attacks.extend(flows.into_iter().zip(0..=u8::MAX));
            }
        }
        scene.forgotten();
        past
    }
}

/// The segment in answer to the SYN of a connection that begins at [`LATER`].
fn lets_in(segment: &Segment) -> bool {
    segment.flags & (SYN | ACK) == SYN | ACK && segment.acknowledgment == LATER + 1
}

fn later(flow: &Flow, flags: u8) -> Segment {
    Segment {
        sequence: LATER,
        ..flow.segment(flags)
    }
}

/// Has a guest with a lease begin a connection to each target, so that everything before it has been dealt with.
fn everything_has_arrived(scene: &mut Scene, round: u16) -> Vec<Segment> {
    let mut waiting = HashSet::new();
    let mut segments = Vec::new();
    for (target, port) in scene.targets.iter().zip(60_000 + round * 16..) {
        let here: IpAddr = PRESENT[usize::from(target.to.is_ipv6())].parse().unwrap();
        waiting.insert(port);
        segments.push(Segment {
            source: (here, port).into(),
            destination: target.to,
            sequence: LATER,
            acknowledgment: 0,
            flags: SYN,
        });
    }
    scene.guest.send(&segments);
    scene.guest.watch(&waiting, lets_in)
}

fn nobody_gets_in(scene: &mut Scene, past: &Past, round: u16) {
    let attacks = past.attacks.iter();
    let segments: Vec<_> = attacks.map(|(flow, flags)| later(flow, *flags)).collect();
    scene.guest.send(&segments);
    let answers = everything_has_arrived(scene, round);
    let is_for_past = |segment: &&Segment| {
        let address = segment.destination.ip().to_string();
        PAST.contains(&address.as_str()) && lets_in(segment)
    };
    let let_in: Vec<_> = answers
        .iter()
        .filter(is_for_past)
        .flat_map(|answer| {
            let is_it =
                |(flow, _): &&(Flow, u8)| (flow.here, flow.there) == (answer.destination, answer.source);
            past.attacks.iter().filter(is_it)
        })
        .map(|(flow, flags)| (flow.there, flow.stage, *flags))
        .collect();
    assert!(let_in.is_empty(), "{} got in: {let_in:?}", let_in.len());
    nobody_is_served(scene);
}

#[track_caller]
fn nobody_is_served(scene: &Scene) {
    for target in &scene.targets {
        target.service.set_nonblocking(true).unwrap();
        let accepted = target.service.accept().map_err(|error| error.kind());
        assert_eq!(accepted.err(), Some(ErrorKind::WouldBlock), "{}", target.to);
        target.service.set_nonblocking(false).unwrap();
    }
}

/// With a lease again, what is left of old connections is in nobody's way.
fn the_guest_gets_in(scene: &mut Scene, past: &Past) {
    for target in &scene.targets {
        let of_target = past.others.iter().filter(|flow| flow.there == target.to);
        let flows: Vec<_> = of_target
            // The server still waits for the other one to be confirmed.
            .filter(|flow| flow.stage != Stage::SynReceived)
            .collect();
        let ports = flows.iter().map(|flow| flow.here.port()).collect();
        let segments: Vec<_> = flows.iter().map(|flow| later(flow, SYN)).collect();
        scene.guest.send(&segments);
        scene
            .guest
            .await_at(&ports, |segment| segment.source == target.to && lets_in(segment));
    }
}

fn past_guests(gate: &str, firewall: &str, rules: &[&str]) {
    let mut scene = Scene::new(rules);
    let running = scene.gate(gate, firewall, "");
    open(&running, &PRESENT);
    for (round, loose) in [(0, 1), (1, 0)] {
        scene.conntrack("tcp_loose", loose);
        scene.conntrack("tcp_be_liberal", 1 - loose);
        open(&running, &PAST);
        let past = Past::new(&mut scene, round);
        revoke(&running, &PAST);
        nobody_gets_in(&mut scene, &past, round);
        open(&running, &PAST);
        the_guest_gets_in(&mut scene, &past);
    }
}

#[test]
fn of_a_guard_that_drops() {
    past_guests("", "shield = \"off\"", &[]);
}

#[test]
fn of_a_guard_that_rejects() {
    past_guests("", "closed = \"reject\"", &[]);
}

#[test]
fn of_a_guard_without_xdp() {
    past_guests("xdp = \"off\"", "", &[]);
}

#[test]
fn of_a_chain() {
    past_guests("xdp = \"off\"", "mode = \"chain\"", &[CHAIN_RULES]);
}

/// What letmeind adds to a user's rules is a second line where they are as the example has them.
#[test]
fn of_the_example_alone() {
    let blocks = document::blocks().unwrap();
    let documented = blocks
        .iter()
        .find(|block| (&*block.language, &*block.place) == ("nft", "open"));
    let example = fs::read_to_string(EXAMPLE).unwrap();
    for rule in documented.unwrap().text.lines() {
        assert!(example.contains(rule), "{rule}");
    }
    let mut scene = Scene::new(&["-f", EXAMPLE]);
    // It says nothing about what is forwarded.
    scene.targets.truncate(3);
    let server = &scene.lab.server;
    let configuration = configuration("xdp = \"off\"", "mode = \"chain\"", "").replace("forward = true", "");
    let running = Gate::start_with(server, &configuration).unwrap();
    open(&running, &PRESENT);
    open(&running, &PAST);
    running.stop().unwrap();
    server
        .run("nft", &["delete chain inet filter letmein_syn"])
        .unwrap();
    let past = Past::new(&mut scene, 0);
    for element in [
        "letmein_leases4 { 10.77.1.77 . tcp . 22 }",
        "letmein_leases4_tcp_7000-7010 { 10.77.1.77 }",
        "letmein_leases6 { fd77:1::77 . tcp . 22 }",
    ] {
        let command = format!("delete element inet filter {element}");
        scene.lab.server.run("nft", &[&command]).unwrap();
    }
    nobody_gets_in(&mut scene, &past, 0);
}
