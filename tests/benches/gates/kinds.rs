//! Kinds of forged packets.

use etherparse::{Ethernet2Header, PacketBuilder, PacketBuilderStep};
use letmein_common::{
    ResourceId, UserId,
    hmac::KeyedStates,
    wire::challenge::{LEN, Message, NO_TOKEN, Operation},
};
use letmein_tests::{gate::KEY, silent};
use std::ops::Range;

/// Where the control port of ours and of letmein 12 is.
pub const CONTROL: u16 = 5800;
pub const GATE: [u8; 4] = [10, 77, 1, 1];
/// Offsets in a frame.
const IP_SUM: usize = 24;
const UDP_SUM: usize = 40;
const TCP_SUM: usize = 50;
const PROTOCOL: usize = 23;
const TCP: u8 = 6;

/// What copies are made of. Source and source port are zero.
#[derive(Clone)]
pub struct Template {
    pub frame: Vec<u8>,
    /// Words of 8 bytes of the payload that are random in each copy.
    pub random: Range<u32>,
    /// Whether they are letters.
    pub letters: bool,
}

/// A kind, by the name that tables have.
pub struct Kind {
    pub name: &'static str,
    /// Made when it is needed: a TAG lives for half a minute.
    pub template: Box<dyn Fn(Macs) -> Template>,
    /// Whether the gate itself looks at them. Others end in the firewall, or in a filter of the kernel.
    pub seen: bool,
}

impl Kind {
    pub fn new(name: &'static str, template: impl Fn(Macs) -> Template + 'static) -> Self {
        Self {
            name,
            template: Box::new(template),
            seen: true,
        }
    }

    pub fn unseen(mut self) -> Self {
        self.seen = false;
        self
    }
}

/// Ethernet addresses: source, destination.
#[derive(Clone, Copy)]
pub struct Macs(pub [u8; 6], pub [u8; 6]);

impl Macs {
    fn ethernet(self) -> PacketBuilderStep<Ethernet2Header> {
        PacketBuilder::ethernet2(self.0, self.1)
    }

    /// A datagram without a checksum.
    pub fn udp(self, port: u16, payload: &[u8], random: Range<u32>) -> Template {
        let mut frame = Vec::new();
        let builder = self.ethernet().ipv4([0; 4], GATE, 64).udp(0, port);
        // Writing into memory does not fail.
        let _written = builder.write(&mut frame, payload);
        frame[UDP_SUM..UDP_SUM + 2].fill(0);
        Template {
            frame,
            random,
            letters: false,
        }
    }

    /// A SYN.
    pub fn syn(self, port: u16) -> Template {
        let mut frame = Vec::new();
        let builder = self.ethernet().ipv4([0; 4], GATE, 64);
        let _written = builder.tcp(0, port, 1, 65_535).syn().write(&mut frame, &[]);
        Template {
            frame,
            random: 0..0,
            letters: false,
        }
    }
}

impl Template {
    pub fn ip_sum(&self) -> u32 {
        self.word(IP_SUM)
    }

    pub fn tcp_sum(&self) -> u32 {
        match self.frame[PROTOCOL] {
            TCP => self.word(TCP_SUM),
            _ => u32::MAX,
        }
    }

    fn word(&self, at: usize) -> u32 {
        u16::from_be_bytes([self.frame[at], self.frame[at + 1]]).into()
    }
}

/// A kind of UDP packet for the control port.
pub fn control(name: &'static str, payload: impl Fn() -> Vec<u8> + 'static, random: Range<u32>) -> Kind {
    Kind::new(name, move |macs| macs.udp(CONTROL, &payload(), random.clone()))
}

/// Attempts to connect to a port.
pub fn syns(name: &'static str, port: u16) -> Kind {
    Kind::new(name, move |macs| macs.syn(port))
}

/// A genuine KNOCK, never seen before.
fn knock() -> Vec<u8> {
    let mut salt = [0x5A; 8];
    let unique = silent::Draft::default().seal();
    salt.copy_from_slice(&unique[8..16]);
    let key = KeyedStates::new(&KEY);
    let message = Message::authenticated(Operation::Knock, UserId(1), ResourceId(1), salt, &key, &NO_TOKEN);
    message.to_bytes().to_vec()
}

fn silent_knock() -> Vec<u8> {
    silent::Draft::default().seal().to_vec()
}

pub fn junk() -> Kind {
    control("junk", || vec![0; LEN], 0..7)
}

/// The dearest, as its HMAC has to be computed.
pub fn forged() -> Kind {
    control("forged, known user", knock, 2..7)
}

/// What challenge knocks meet, ours and letmein 12's.
pub fn of_challenge() -> Vec<Kind> {
    vec![
        junk(),
        control("unknown user", knock, 1..7),
        forged(),
        control("replayed KNOCK", knock, 0..0),
    ]
}

/// Attempts to connect to the protected port.
pub fn of_shield() -> Kind {
    syns("SYNs", 22)
}

/// What silent knocks meet; a forger does not care which of both kinds a server takes.
pub fn of_silent() -> Vec<Kind> {
    let mut kinds = of_challenge();
    kinds.extend([
        of_shield(),
        control("forged silent", silent_knock, 0..11),
        control("sniffed TAG", silent_knock, 1..11),
        control("replayed silent", silent_knock, 0..0),
    ]);
    kinds
}
