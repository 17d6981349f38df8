//! Over UDP, where messages get lost, doubled and forged.
//!
//! Whatever is not answered in time is sent again, as a new message with a fresh salt. A lost COMEIN is asked for by
//! sending the RESPONSE again; should the gate have forgotten the exchange by then, all begins anew.
//!
//! Nothing that a gate sends proves anything, so nothing bad that comes in ends the exchange at once: strays are
//! passed over, a forged CHALLENGE is answered like the genuine one, and neither a GOAWAY nor an ICMP message is
//! believed before nothing better has come for a while.

use super::{
    Failure,
    gate::{Gate, left_until},
};
use letmein_common::{
    hmac::Auth,
    wire::challenge::{Message, Operation},
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

/// How long the first message waits for its answer; each further one waits twice as long as the last.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// How long a CHALLENGE or COMEIN may come after a GOAWAY and count more. Who can forge a GOAWAY for our port, user
/// and resource can be faster than the gate, but cannot take back the gate's answer. Nothing is sent meanwhile.
const GOAWAY_WAIT: Duration = FIRST_WAIT;
/// RESPONSEs to one challenge before all begins anew.
const RESPONSES: u32 = 3;
/// Between two errors of the socket, so that none can keep us busy.
const PAUSE: Duration = Duration::from_millis(10);
/// The largest UDP payload: Windows makes an error of a datagram that does not fit.
const LARGEST: usize = 65_536;

/// What became of an exchange, unless it came to an end of its own.
enum Ended {
    Done,
    /// By a GOAWAY. `repeated`: the KNOCK was sent more than once.
    Refused {
        repeated: bool,
    },
    /// No answer, or none to the RESPONSE.
    Silent,
}

/// What was seen so far, over all attempts.
#[derive(Default)]
struct Seen {
    challenge: bool,
    /// Errors of the socket: ICMP, for the most part.
    errors: u32,
    last_error: Option<io::Error>,
}

pub fn exchange(gate: &Gate) -> Result<(), Failure> {
    let mut seen = Seen::default();
    let mut wait = FIRST_WAIT;
    let mut refused = false;
    while gate.left().is_some() {
        match attempt(gate, &mut wait, &mut seen).map_err(|error| gate.network(error))? {
            Ended::Done => return Ok(()),
            // Some gates take a KNOCK that is repeated before its CHALLENGE has arrived for a broken exchange.
            Ended::Refused { repeated: true } if !refused => {
                gate.say("GOAWAY after a repeated KNOCK: once more from the beginning");
                refused = true;
            }
            Ended::Refused { .. } => return Err(gate.refused()),
            Ended::Silent => {}
        }
    }
    Err(if refused {
        gate.refused()
    } else {
        silence(gate, seen)
    })
}

/// One exchange from KNOCK to COMEIN. `wait` is how long the next KNOCK waits for its answer.
fn attempt(gate: &Gate, wait: &mut Duration, seen: &mut Seen) -> io::Result<Ended> {
    // A port of its own, so that answers to an earlier attempt are not taken for answers to this one.
    let socket = connect(gate.address)?;
    let mut inbox = Inbox {
        gate,
        socket: &socket,
        buffer: vec![0; LARGEST],
    };
    let mut token: Option<Auth> = None;
    let mut knocks = 0;
    let mut responses = 0;
    let mut response_wait = FIRST_WAIT;
    while gate.left().is_some() && responses < RESPONSES {
        let message = gate.message(token.as_ref())?;
        gate.say(format_args!("sending {:?}", message.operation));
        send(&socket, &message.to_bytes(), |earlier| seen.note(earlier))?;
        let (sent, wait) = match token {
            None => (&mut knocks, &mut *wait),
            Some(_) => (&mut responses, &mut response_wait),
        };
        *sent += 1;
        let mut answer = inbox.next(token.as_ref(), true, Instant::now() + *wait, seen);
        if answer.is_some_and(|answer| answer.operation == Operation::GoAway) {
            gate.say("GOAWAY received, waiting for anything better");
            answer = inbox.next(token.as_ref(), false, Instant::now() + GOAWAY_WAIT, seen);
            if answer.is_none() {
                return Ok(Ended::Refused { repeated: knocks > 1 });
            }
        }
        match answer {
            Some(answer) if answer.operation == Operation::ComeIn => return Ok(Ended::Done),
            Some(challenge) => {
                gate.say("CHALLENGE received");
                seen.challenge = true;
                token = Some(challenge.auth);
                responses = 0;
                response_wait = FIRST_WAIT;
            }
            None => {
                gate.say(format_args!("no answer within {wait:?}"));
                *wait = wait.saturating_mul(2);
            }
        }
    }
    Ok(Ended::Silent)
}

/// A socket of its own port for what is sent to the gate and comes from it.
pub(super) fn connect(gate: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match gate {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(gate)?;
    Ok(socket)
}

/// Sends a message. The first error may be about an earlier one, and then nothing was sent.
pub(super) fn send(socket: &UdpSocket, bytes: &[u8], note: impl FnOnce(io::Error)) -> io::Result<()> {
    if let Err(earlier) = socket.send(bytes) {
        note(earlier);
        socket.send(bytes)?;
    }
    Ok(())
}

impl Seen {
    fn note(&mut self, error: io::Error) {
        self.errors += 1;
        self.last_error = Some(error);
    }
}

struct Inbox<'a> {
    gate: &'a Gate,
    socket: &'a UdpSocket,
    buffer: Vec<u8>,
}

impl Inbox<'_> {
    /// The next message that says something new to who has answered `token`. Strays and repetitions are passed over.
    fn next(
        &mut self,
        token: Option<&Auth>,
        goaway: bool,
        until: Instant,
        seen: &mut Seen,
    ) -> Option<Message> {
        let until = until.min(self.gate.deadline);
        while let Some(left) = left_until(until) {
            let received = self
                .socket
                .set_read_timeout(Some(left))
                .and_then(|()| self.socket.recv(&mut self.buffer));
            let length = match received {
                Ok(length) => length,
                Err(error) => {
                    match error.kind() {
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                        _ => {
                            self.gate
                                .say(format_args!("{error}; this may be forged, so waiting on"));
                            seen.note(error);
                            thread::sleep(PAUSE.min(left));
                        }
                    }
                    continue;
                }
            };
            let message = Message::parse(&self.buffer[..length]).ok();
            let Some(message) = message.filter(|message| self.gate.concerns(message)) else {
                self.gate
                    .say(format_args!("a datagram of {length} bytes is no answer to us"));
                continue;
            };
            let new = match message.operation {
                Operation::GoAway => goaway,
                Operation::Challenge => token != Some(&message.auth),
                Operation::ComeIn => token.is_some(),
                Operation::Knock | Operation::Response | Operation::Revoke => false,
            };
            if new {
                return Some(message);
            }
        }
        None
    }
}

fn silence(gate: &Gate, seen: Seen) -> Failure {
    let (at, timeout) = (gate.address, gate.plan.timeout);
    match seen.last_error {
        _ if seen.challenge => Failure::NotFinished { at, timeout },
        // Windows calls it a reset connection.
        Some(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
            ) =>
        {
            Failure::Unreachable {
                at,
                timeout,
                times: seen.errors,
            }
        }
        Some(error) => gate.network(error),
        None => Failure::NoAnswer {
            at,
            transport: gate.plan.transport,
            timeout,
        },
    }
}
