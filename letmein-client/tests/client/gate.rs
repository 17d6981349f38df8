//! A gate for one user, as small as can be, and what makes it misbehave.

use letmein_common::{
    ResourceId, UserId,
    hmac::{Auth, KeyedStates},
    wire::challenge::{Message, NO_TOKEN, Operation, SALT_LEN},
};
use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, spawn},
    time::Duration,
};

pub const KEY: [u8; 32] = [0xC3; 32];
pub const USER: UserId = UserId(0x1A);
pub const RESOURCE: ResourceId = ResourceId(0x2B);

/// What a gate does that is not disturbed; it keeps what it got.
pub struct Honest {
    key: KeyedStates,
    /// What the client began with, and the challenge it got.
    begun: Option<(Operation, Auth)>,
    /// Everything that came, with the port it came from.
    pub got: Vec<(Message, u16)>,
    /// Messages that prove no key, or repeat a salt.
    pub bad: usize,
    /// KNOCK and REVOKE, as often as one was carried out.
    pub done: Vec<Operation>,
}

impl Honest {
    pub fn new() -> Self {
        Self {
            key: KeyedStates::new(&KEY),
            begun: None,
            got: Vec::new(),
            bad: 0,
            done: Vec::new(),
        }
    }

    /// Takes a message and says what to answer.
    pub fn take(&mut self, message: &Message, port: u16) -> Option<Message> {
        let fresh = self.got.iter().all(|(old, _)| old.salt != message.salt);
        self.got.push((*message, port));
        let response = message.operation == Operation::Response;
        let token = match self.begun {
            Some((_, token)) if response => token,
            _ => NO_TOKEN,
        };
        if !fresh
            || message.user != USER
            || message.resource != RESOURCE
            || !message.proves(&self.key, &token)
        {
            self.bad += 1;
            return None;
        }
        if !response {
            // The same one again for the same exchange.
            let begun = (message.operation, [u8::try_from(port % 255).unwrap() + 1; 32]);
            if self.begun != Some(begun) {
                self.begun = Some(begun);
            }
            return Some(answer(Operation::Challenge, begun.1));
        }
        let (operation, _) = self.begun?;
        if self
            .got
            .iter()
            .rev()
            .skip(1)
            .all(|(old, from)| *from != port || old.operation != Operation::Response)
        {
            self.done.push(operation);
        }
        Some(answer(Operation::ComeIn, NO_TOKEN))
    }

    /// The operations that came, in order.
    pub fn operations(&self) -> Vec<Operation> {
        self.got.iter().map(|(message, _)| message.operation).collect()
    }
}

/// A message of the gate's for our user and resource.
pub fn answer(operation: Operation, auth: Auth) -> Message {
    Message {
        operation,
        user: USER,
        resource: RESOURCE,
        salt: [0; SALT_LEN],
        auth,
    }
}

/// A datagram to send, and how long after the last.
pub struct Send(pub Duration, pub Vec<u8>);

/// Messages to send at once.
pub fn now(messages: impl IntoIterator<Item = Message>) -> Vec<Send> {
    messages
        .into_iter()
        .map(|message| Send(Duration::ZERO, message.to_bytes().to_vec()))
        .collect()
}

/// A gate on UDP. What it sends is up to a script, which gets the number of the message that came (from 0), the
/// message, and the answer of an honest gate.
pub struct UdpGate {
    pub address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: JoinHandle<Honest>,
}

impl UdpGate {
    pub fn start(
        script: impl FnMut(usize, &Message, Option<Message>) -> Vec<Send> + std::marker::Send + 'static,
    ) -> Self {
        Self::start_at("127.0.0.1:0", script)
    }

    pub fn start_at(
        address: &str,
        mut script: impl FnMut(usize, &Message, Option<Message>) -> Vec<Send> + std::marker::Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        let thread = spawn(move || {
            let mut honest = Honest::new();
            let mut buffer = [0; 1500];
            loop {
                let (length, peer) = match socket.recv_from(&mut buffer) {
                    Ok(received) => received,
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        if flag.load(Ordering::Relaxed) {
                            return honest;
                        }
                        continue;
                    }
                    // The client has gone, and its system says so.
                    Err(_) => continue,
                };
                let message = Message::parse(&buffer[..length]).unwrap();
                let number = honest.got.len();
                let answer = honest.take(&message, peer.port());
                for Send(after, datagram) in script(number, &message, answer) {
                    std::thread::sleep(after);
                    socket.send_to(&datagram, peer).unwrap();
                }
            }
        });
        Self {
            address,
            over,
            thread,
        }
    }

    /// Ends it, once nothing has come for a moment.
    pub fn finish(self) -> Honest {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
