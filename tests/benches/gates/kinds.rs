//! Kinds of forged packets.

use letmein_common::{
    ResourceId, UserId,
    hmac::KeyedStates,
    wire::challenge::{LEN, Message, NO_TOKEN, Operation},
};
use letmein_tests::{
    flood::{Macs, Template},
    gate::KEY,
    silent,
};
use std::ops::Range;

/// Where the control port of ours and of letmein 12 is.
pub const CONTROL: u16 = 5800;
pub const GATE: [u8; 4] = [10, 77, 1, 1];

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

/// A kind of UDP packet for the control port.
pub fn control(name: &'static str, payload: impl Fn() -> Vec<u8> + 'static, random: Range<u32>) -> Kind {
    Kind::new(name, move |macs| {
        macs.udp(GATE, CONTROL, &payload(), random.clone())
    })
}

/// Attempts to connect to a port.
pub fn syns(name: &'static str, port: u16) -> Kind {
    Kind::new(name, move |macs| macs.syn(GATE, port))
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
