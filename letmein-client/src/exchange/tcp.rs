//! Over TCP: four messages on one connection.

use super::{Failure, gate::Gate};
use letmein_common::wire::challenge::{LEN, MAGIC, Message, Operation};
use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
};

/// How much of a stranger's greeting an error repeats.
const GREETING: usize = 16;

pub fn exchange(gate: &Gate) -> Result<(), Failure> {
    let mut stream = connect(gate).map_err(|error| failed(gate, error, false))?;
    let challenge = ask(gate, &mut stream, None)?;
    if challenge.operation != Operation::Challenge {
        return Err(unexpected(gate, &challenge));
    }
    gate.say("CHALLENGE received");
    let answer = ask(gate, &mut stream, Some(&challenge))?;
    if answer.operation != Operation::ComeIn {
        return Err(unexpected(gate, &answer));
    }
    Ok(())
}

fn connect(gate: &Gate) -> io::Result<TcpStream> {
    gate.say("connecting");
    let left = gate.left().ok_or(io::ErrorKind::TimedOut)?;
    let stream = TcpStream::connect_timeout(&gate.address, left)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends the first message, or the answer to a challenge, and reads what comes back.
fn ask(gate: &Gate, stream: &mut TcpStream, challenge: Option<&Message>) -> Result<Message, Failure> {
    let mut send = || {
        let message = gate.message(challenge.map(|challenge| &challenge.auth))?;
        stream.set_write_timeout(Some(gate.left().ok_or(io::ErrorKind::TimedOut)?))?;
        gate.say(format_args!("sending {:?}", message.operation));
        stream.write_all(&message.to_bytes())
    };
    let challenged = challenge.is_some();
    send().map_err(|error| failed(gate, error, challenged))?;
    let bytes = read(gate, stream, challenged)?;
    let no_gate = |seen: &str| Failure::NoGate {
        at: gate.address,
        seen: seen.to_owned(),
    };
    let message = Message::parse(&bytes).map_err(|_| no_gate("it sent a message of no known kind"))?;
    match message.operation {
        // Whatever it is about: the refused message was the only one on this connection.
        Operation::GoAway => Err(gate.refused()),
        _ if !gate.concerns(&message) => Err(no_gate("it answered for another user or resource")),
        _ => Ok(message),
    }
}

/// Reads one message. What does not begin like one is given up at once, for the rest of it may never come.
fn read(gate: &Gate, stream: &mut TcpStream, challenged: bool) -> Result<[u8; LEN], Failure> {
    let magic = MAGIC.to_be_bytes();
    let mut bytes = [0; LEN];
    let mut length = 0;
    while length < LEN {
        let mut receive = || {
            // For each part anew, so that no trickle of bytes makes it last longer.
            stream.set_read_timeout(Some(gate.left().ok_or(io::ErrorKind::TimedOut)?))?;
            stream.read(&mut bytes[length..])
        };
        match receive() {
            Ok(0) => return Err(Failure::Closed { at: gate.address }),
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(gate, error, challenged)),
        }
        let known = length.min(magic.len());
        if bytes[..known] != magic[..known] {
            let greeting = bytes[..length.min(GREETING)].escape_ascii();
            return Err(Failure::NoGate {
                at: gate.address,
                seen: format!("it sent \"{greeting}\""),
            });
        }
    }
    Ok(bytes)
}

/// `challenged`: the gate had sent its CHALLENGE.
fn failed(gate: &Gate, error: io::Error, challenged: bool) -> Failure {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if challenged => Failure::NotFinished {
            at: gate.address,
            timeout: gate.plan.timeout,
        },
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failure::NoAnswer {
            at: gate.address,
            transport: gate.plan.transport,
            timeout: gate.plan.timeout,
        },
        // A server that closes with our message unread makes the connection a reset one.
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            Failure::Closed { at: gate.address }
        }
        _ => gate.network(error),
    }
}

fn unexpected(gate: &Gate, message: &Message) -> Failure {
    Failure::NoGate {
        at: gate.address,
        seen: format!("it sent {:?} out of turn", message.operation),
    }
}
