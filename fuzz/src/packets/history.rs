//! Packets, and what the daemon does between them, as an input tells it.

use super::{
    packet::{Transport, frame, poke, source},
    scene::{KEYS, RESOURCES, SHIELDED, USERS, tag},
};
use crate::input::Input;
use letmein_common::{
    ResourceId, UserId,
    hmac::{AUTH_LEN, Auth, KeyedStates},
    maps::{Pending, PendingKey},
    wire::{
        challenge::{Message, NO_TOKEN, Operation},
        silent::{Keys, NONCE_LEN, Request},
    },
};
use letmein_daemon::{
    config::Config,
    firewall::{LeaseKey, Protocol},
};

/// What happens next.
pub enum Step {
    Packet(Vec<u8>),
    /// The daemon sends a challenge.
    Challenge(PendingKey, Operation, Pending),
    /// The daemon opens a lease until then.
    Admit(LeaseKey, u64),
    /// The daemon closes a lease.
    ShutOut(LeaseKey),
}

/// When something is over: long ago, or never.
const ENDS: [u64; 2] = [u64::MAX, 1];
const OPERATIONS: [Operation; 6] = [
    Operation::Knock,
    Operation::Response,
    Operation::Revoke,
    Operation::Challenge,
    Operation::ComeIn,
    Operation::GoAway,
];
/// Nobody's, and no resource.
const UNKNOWN: u32 = 9;

/// What senders know, and what they have sent.
pub struct History {
    port: u16,
    keys: [(KeyedStates, Keys); 2],
    sent: Vec<Vec<u8>>,
}

impl History {
    pub fn new(config: &Config) -> Self {
        let keys = KEYS.map(|key| {
            let key = KeyedStates::new(&key);
            let silent = Keys::derive(&key);
            (key, silent)
        });
        Self {
            port: config.gate.port,
            keys,
            sent: Vec::new(),
        }
    }

    pub fn next(&mut self, input: &mut Input<'_>) -> Step {
        let frame = match input.byte() % 8 {
            0 | 1 => self.challenge(input),
            2 | 3 => self.silent(input),
            4 => {
                let length = usize::from(input.byte());
                let payload = input.bytes(length);
                self.udp(input, payload)
            }
            5 => {
                let flags = input.byte();
                let port = input.choose(&[SHIELDED[1], self.port, 80]);
                let source = source(input);
                frame(input, source, port.unwrap_or_default(), &Transport::Tcp(flags))
            }
            6 => return daemon(input),
            _ => self.again(input),
        };
        self.sent.push(frame.clone());
        Step::Packet(frame)
    }

    fn udp(&self, input: &mut Input<'_>, payload: &[u8]) -> Vec<u8> {
        let ports = [self.port, self.port, self.port, SHIELDED[0], 53, SHIELDED[2]];
        let port = input.choose(&ports).unwrap_or(self.port);
        let source = source(input);
        frame(input, source, port, &Transport::Udp(payload))
    }

    fn challenge(&self, input: &mut Input<'_>) -> Vec<u8> {
        let operation = input.choose(&OPERATIONS).unwrap_or(Operation::Knock);
        let (user, resource, key) = self.who(input);
        let salt = [input.byte(); 8];
        let token = token(input.byte());
        let message = Message::authenticated(operation, user, resource, salt, &key.0, &token);
        self.udp(input, &message.to_bytes())
    }

    fn silent(&self, input: &mut Input<'_>) -> Vec<u8> {
        let operation = input.choose(&[Operation::Knock, Operation::Revoke]);
        let (user, resource, key) = self.who(input);
        let epoch = u64::from(input.byte() % 4);
        let nonce = [input.byte(); NONCE_LEN];
        let request = Request {
            operation: operation.unwrap_or(Operation::Knock),
            lease_seconds: 0,
            address: None,
        };
        let knock = key.1.seal(tag(&key.1, epoch, user, resource), nonce, &request);
        self.udp(input, &knock)
    }

    /// A user, a resource, and a key, seldom a wrong one.
    fn who(&self, input: &mut Input<'_>) -> (UserId, ResourceId, &(KeyedStates, Keys)) {
        let choice = input.byte();
        let user = usize::from(choice & 3) % 3;
        let resource = usize::from(choice >> 2 & 3) % 3;
        let wrong = choice >> 4 == 15;
        (
            USERS.get(user).copied().unwrap_or(UserId(UNKNOWN)),
            RESOURCES.get(resource).copied().unwrap_or(ResourceId(UNKNOWN)),
            &self.keys[(user & 1) ^ usize::from(wrong)],
        )
    }

    /// An earlier frame, with some other bytes or just so.
    fn again(&self, input: &mut Input<'_>) -> Vec<u8> {
        let back = usize::from(input.byte());
        let count = input.byte() % 4;
        let mut frame = match self.sent.len() {
            0 => self.udp(input, &[]),
            sent => self.sent[back % sent].clone(),
        };
        poke(input, &mut frame, count);
        frame
    }
}

/// The challenges that there are, by number.
fn token(number: u8) -> Auth {
    match number % 4 {
        0 => NO_TOKEN,
        number => [number; AUTH_LEN],
    }
}

fn daemon(input: &mut Input<'_>) -> Step {
    let choice = input.byte();
    let end = ENDS[usize::from(choice >> 7)];
    let source = source(input);
    if choice & 1 == 0 {
        let resource = usize::from(input.byte() & 1);
        let user = usize::from(input.byte() & 1);
        let exchange = PendingKey::new(
            &source.ip().into(),
            source.port(),
            USERS[user],
            RESOURCES[resource],
        );
        let pending = Pending {
            token: token(input.byte()),
            expires: end,
        };
        return Step::Challenge(exchange, Operation::Knock, pending);
    }
    let (protocol, port) = if choice & 2 == 0 {
        (Protocol::Tcp, SHIELDED[1])
    } else {
        (Protocol::Udp, SHIELDED[0])
    };
    let lease = LeaseKey::new(source.ip(), protocol, port);
    if choice & 4 == 0 {
        Step::Admit(lease, end)
    } else {
        Step::ShutOut(lease)
    }
}
