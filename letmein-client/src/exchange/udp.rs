//! Over UDP: whatever is not answered in time is sent again, as a new message with a fresh salt, since a gate
//! takes each salt once.

use super::Failure;
use crate::plan::Plan;
use letmein_common::{
    hmac::Auth,
    wire::challenge::{LEN, Message, Operation},
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// How long the first message waits for its answer; each further one waits twice as long as the last.
const FIRST_WAIT: Duration = Duration::from_millis(250);

pub fn exchange(plan: &Plan, gate: SocketAddr) -> io::Result<Result<(), Failure>> {
    let any: SocketAddr = match gate {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(gate)?;
    let deadline = Instant::now() + plan.timeout;
    let mut token: Option<Auth> = None;
    let mut wait = FIRST_WAIT;
    loop {
        let message = match &token {
            None => super::first(plan)?,
            Some(token) => super::response(plan, token)?,
        };
        socket.send(&message.to_bytes())?;
        let again = (Instant::now() + wait).min(deadline);
        match answer(plan, &socket, token.as_ref(), again)? {
            Some(answer) if answer.operation == Operation::ComeIn => return Ok(Ok(())),
            Some(answer) if answer.operation == Operation::GoAway => return Ok(Err(Failure::Refused)),
            Some(challenge) => {
                token = Some(challenge.auth);
                wait = FIRST_WAIT;
            }
            None if Instant::now() >= deadline => return Err(io::ErrorKind::TimedOut.into()),
            None => {
                plan.say("no answer yet, sending again");
                wait = wait.saturating_mul(2);
            }
        }
    }
}

/// The next message that says something new. Strays and repetitions are passed over.
fn answer(
    plan: &Plan,
    socket: &UdpSocket,
    token: Option<&Auth>,
    until: Instant,
) -> io::Result<Option<Message>> {
    // Longer than a message, so that a longer datagram is seen to be one.
    let mut buffer = [0; 2 * LEN];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Ok(message) = Message::parse(&buffer[..length]) else {
            continue;
        };
        let ours = message.user == plan.user && message.resource == plan.resource;
        let new = match message.operation {
            Operation::GoAway => return Ok(Some(message)),
            Operation::Challenge => token != Some(&message.auth),
            Operation::ComeIn => token.is_some(),
            _ => false,
        };
        if ours && new {
            return Ok(Some(message));
        }
    }
}
