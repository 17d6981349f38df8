//! Forged and junk packets of every kind, from addresses that nobody has.

use crate::scene::{Attacker, CONTROL_OF_OTHER, CONTROL_OF_OTHER_V6, Scene, exchange};
use letmein_common::{
    ResourceId, UserId,
    wire::challenge::{LEN, Message, NO_TOKEN, Operation},
};
use letmein_tests::{
    frames::{Extension, IPV4, IPV6, Ipv4, Ipv6, UDP, udp},
    gate::Gate,
    knocker::Draft,
    silent,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);
const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0xFD77, 2, 0, 0, 0, 0, 0, 1);
const SYN: u8 = 0x02;
const MORE_FRAGMENTS: u16 = 0x2000;
const DESTINATION_OPTIONS: u8 = 60;

/// What every frame of [`Mixture::frames`] is refused for, each of them at least once.
pub const REASONS: [&str; 14] = [
    "auth",
    "check",
    "fragment",
    "header-chain",
    "length",
    "magic",
    "no-challenge",
    "operation",
    "rate-limit",
    "replay",
    "shield",
    "truncated",
    "unknown-tag",
    "unknown-user",
];

/// A generator of numbers that look random, the same in every run (`SplitMix64`, Steele and others, 2014).
pub struct Random(pub u64);

impl Random {
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let words = length.div_ceil(8);
        let mut bytes: Vec<_> = (0..words).flat_map(|_| self.next().to_ne_bytes()).collect();
        bytes.truncate(length);
        bytes
    }
}

/// An address out of many that lie in no network of the lab's: another for each number below 2^24.
pub fn source(number: u32) -> SocketAddr {
    let first = 20 + number % 80;
    let rest = number.wrapping_mul(0x9E37_79B1) & 0x00FF_FFFF;
    SocketAddr::from((Ipv4Addr::from(first << 24 | rest), 40_000))
}

/// The same, in a /56 of its own.
pub fn source_v6(number: u32) -> SocketAddr {
    let network = u128::from(number.wrapping_mul(0x9E37_79B1)) << 72;
    SocketAddr::from((Ipv6Addr::from(0x2001_0DB8_u128 << 96 | network | 7), 40_000))
}

/// What an attacker has to begin with.
pub struct Mixture {
    /// A KNOCK that was seen on its way to the gate.
    knock: [u8; LEN],
    /// A silent knock that was seen on its way to the gate.
    silent: [u8; 88],
    /// One that was taken away, so that the gate has not seen it.
    held_back: [u8; 88],
}

impl Mixture {
    /// Records genuine knocks of the client's, one of each kind.
    pub fn record(scene: &Scene, gate: &mut Gate) -> Self {
        let recorded = Self::record_challenge(scene);
        let control = crate::scene::CONTROL.parse().unwrap();
        silent::send(&scene.lab.client, control, &[&recorded.silent]).unwrap();
        for _ in 0..2 {
            gate.wait_for("alice opened ssh").unwrap();
        }
        recorded
    }

    /// Records a challenge knock only; the gate has seen no silent one.
    pub fn record_challenge(scene: &Scene) -> Self {
        Self {
            knock: exchange(scene, crate::scene::CONTROL, Operation::Knock),
            silent: silent::Draft::default().seal(),
            held_back: silent::Draft::default().seal(),
        }
    }

    /// So many frames, none of which proves anything. Each of them would reach a socket, had it the right bytes.
    pub fn frames(&self, attacker: &Attacker, count: u32) -> Vec<Vec<u8>> {
        let mut random = Random(5);
        (0..count)
            .map(|number| self.frame(attacker, number, &mut random))
            .collect()
    }

    fn frame(&self, attacker: &Attacker, number: u32, random: &mut Random) -> Vec<u8> {
        let (source, control) = if number.is_multiple_of(4) {
            (source_v6(number), CONTROL_OF_OTHER_V6)
        } else {
            (source(number), CONTROL_OF_OTHER)
        };
        let control: SocketAddr = control.parse().unwrap();
        match random.below(24) {
            0 => attacker.wrap(IPV4, &fragment(number)),
            1 => attacker.wrap(IPV4, &truncated(number)),
            2 => attacker.wrap(IPV6, &long_chain(number)),
            3 => attacker.wrap(IPV4, &with_options(number, random)),
            4 => attacker.tcp(source, SocketAddr::new(control.ip(), 22), SYN),
            // Over and over from one address, that of the attacker.
            5 => attacker.udp(
                "10.77.2.2:40000".parse().unwrap(),
                CONTROL_OF_OTHER.parse().unwrap(),
                &forged(Operation::Knock, 1, random),
            ),
            _ => attacker.udp(source, control, &self.payload(random)),
        }
    }

    /// What is wrong with it lies in the datagram.
    fn payload(&self, random: &mut Random) -> Vec<u8> {
        let signed = |operation| {
            let draft = Draft::default();
            Draft { operation, ..draft }.sign().to_vec()
        };
        let changed = |knock: [u8; 88], from: usize, random: &mut Random| {
            [&knock[..from], &random.bytes(88 - from)].concat()
        };
        match random.below(16) {
            0 => random.bytes(LEN),
            1 => random.bytes(88),
            2 => {
                let mut knock = self.knock.to_vec();
                knock[4..8].copy_from_slice(&[0, 0, 0, 6]);
                knock
            }
            // What a gate says, by who has the key.
            3 => signed(Operation::Challenge),
            4 => signed(Operation::ComeIn),
            5 => forged(Operation::Knock, 7, random),
            6 => forged(Operation::Knock, 1, random),
            7 => forged(Operation::Revoke, 1, random),
            8 => signed(Operation::Response),
            9 => self.knock.to_vec(),
            10 => self.silent.to_vec(),
            11 => changed(self.silent, 8, random),
            12 => changed(self.silent, 56, random),
            13 => changed(self.held_back, 56, random),
            _ => {
                let length = random.below(200);
                let is_a_knocks = [LEN as u64, 88].contains(&length);
                random.bytes(usize::try_from(length).unwrap() + usize::from(is_a_knocks))
            }
        }
    }
}

/// A message of this user's, with an AUTH out of thin air.
pub fn forged(operation: Operation, user: u32, random: &mut Random) -> Vec<u8> {
    let mut out_of_thin_air = NO_TOKEN;
    out_of_thin_air.copy_from_slice(&random.bytes(32));
    let message = Message {
        operation,
        user: UserId(user),
        resource: ResourceId(1),
        salt: random.next().to_ne_bytes(),
        auth: out_of_thin_air,
    };
    message.to_bytes().to_vec()
}

fn plain(source: SocketAddr) -> Ipv4 {
    let IpAddr::V4(address) = source.ip() else {
        panic!("{source} is not IPv4")
    };
    Ipv4::new(address, SERVER)
}

fn control_v4() -> SocketAddr {
    CONTROL_OF_OTHER.parse().unwrap()
}

/// The first piece of a genuine knock.
fn fragment(number: u32) -> Vec<u8> {
    let source = source(number);
    let mut header = plain(source);
    header.fragmentation = MORE_FRAGMENTS;
    let datagram = udp(source, control_v4(), &Draft::default().sign());
    header.packet(UDP, &datagram[..48])
}

/// A knock in a packet that goes on after the datagram's end.
fn truncated(number: u32) -> Vec<u8> {
    let source = source(number);
    let mut datagram = udp(source, control_v4(), &Draft::default().sign());
    datagram.extend([0; 8]);
    plain(source).packet(UDP, &datagram)
}

/// More extension headers than anybody sends.
fn long_chain(number: u32) -> Vec<u8> {
    let source = source_v6(number);
    let IpAddr::V6(address) = source.ip() else {
        panic!("{source} is not IPv6")
    };
    let mut header = Ipv6::new(address, SERVER_V6);
    let mut bytes = vec![0; 8];
    // One option that fills the rest (RFC 8200, section 4.2).
    bytes[2..4].copy_from_slice(&[1, 4]);
    let extension = Extension {
        number: DESTINATION_OPTIONS,
        bytes,
    };
    header.extensions = vec![extension; 12];
    let control = CONTROL_OF_OTHER_V6.parse().unwrap();
    header.packet(UDP, &udp(source, control, &Draft::default().sign()))
}

/// A forged knock behind options of IPv4.
fn with_options(number: u32, random: &mut Random) -> Vec<u8> {
    let source = source(number);
    let mut header = plain(source);
    header.options = vec![1; 8];
    let forged = forged(Operation::Knock, 1, random);
    header.packet(UDP, &udp(source, control_v4(), &forged))
}
