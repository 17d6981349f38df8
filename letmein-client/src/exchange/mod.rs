//! Knocking: the exchange with the gate (KNOCK, CHALLENGE, RESPONSE, COMEIN) or the one silent knock, and trying the
//! port that it opens.

mod connect;
mod failure;
mod gate;
mod name_service;
mod own_address;
mod port;
mod resolve;
mod silent;
mod tcp;
mod udp;
mod wait;

pub use connect::{directly, through_the_gate};
pub use failure::{Failure, exit_code};
pub use port::{Answer, try_port};
pub use resolve::addresses;

use crate::{
    config::Transport,
    plan::{Families, Plan},
};
use gate::Gate;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How long the other address family has after one of them has succeeded, if both were not asked for: enough for one
/// message to get lost and be sent again, little enough to be waited for where one family leads nowhere. To return
/// at once would leave a port closed for the family that the user's next program may choose.
const LINGER: Duration = Duration::from_millis(500);

/// Finds the host's addresses and knocks on them, all at once, within the plan's time for everything. Returns how long
/// the first success took.
pub fn run(plan: &Arc<Plan>) -> Result<Duration, Vec<Failure>> {
    let deadline = Instant::now() + plan.timeout;
    let addresses = find(plan, deadline)?;
    knock_on(plan, &addresses, deadline)
}

fn find(plan: &Plan, deadline: Instant) -> Result<Vec<SocketAddr>, Vec<Failure>> {
    let found = addresses(&plan.host, plan.port, plan.families, deadline).map_err(|failure| vec![failure])?;
    for address in &found {
        plan.say(format_args!("{} is {}", plan.host, address.ip()));
    }
    Ok(found)
}

fn knock_on(plan: &Arc<Plan>, addresses: &[SocketAddr], deadline: Instant) -> Result<Duration, Vec<Failure>> {
    let started = Instant::now();
    let gates = addresses.iter().map(|address| Gate {
        plan: Arc::clone(plan),
        address: *address,
        deadline,
    });
    // A thread takes longer to start than a datagram to send.
    if addresses.len() == 1 || plan.only_sends() {
        one_by_one(plan, gates, started)
    } else {
        at_once(plan, gates, started)
    }
}

fn one_by_one(
    plan: &Plan,
    gates: impl Iterator<Item = Gate>,
    started: Instant,
) -> Result<Duration, Vec<Failure>> {
    let outcomes: Vec<_> = gates.map(|gate| one(&gate)).collect();
    let enough = plan.families != Families::Both && outcomes.iter().any(Result::is_ok);
    let failures: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    if enough || failures.is_empty() {
        Ok(started.elapsed())
    } else {
        Err(failures)
    }
}

fn at_once(
    plan: &Plan,
    gates: impl Iterator<Item = Gate>,
    started: Instant,
) -> Result<Duration, Vec<Failure>> {
    let (sender, outcomes) = channel();
    for gate in gates {
        let sender = sender.clone();
        // Not waited for: one that has not succeeded when the others' time is over ends with the process.
        thread::spawn(move || sender.send(one(&gate)));
    }
    drop(sender);

    let mut failures = Vec::new();
    let mut took = None;
    let mut until = None;
    loop {
        let outcome = match until {
            None => outcomes.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => outcomes.recv_timeout(Instant::saturating_duration_since(&until, Instant::now())),
        };
        match outcome {
            Ok(Ok(())) => {
                took.get_or_insert_with(|| started.elapsed());
                if plan.families != Families::Both {
                    until = Some(Instant::now() + LINGER);
                }
            }
            Ok(Err(failure)) => failures.push(failure),
            Err(ended) => {
                if ended == RecvTimeoutError::Timeout {
                    plan.say("the other address does not answer, but one is enough");
                }
                return match took {
                    Some(took) if until.is_some() || failures.is_empty() => Ok(took),
                    _ => Err(failures),
                };
            }
        }
    }
}

fn one(gate: &Gate) -> Result<(), Failure> {
    let outcome = match (gate.plan.silent, gate.plan.transport) {
        (Some(silent), _) => silent::knock(gate, &silent),
        (None, Transport::Udp) => udp::exchange(gate).and_then(|()| wait::after_exchange(gate)),
        (None, Transport::Tcp) => tcp::exchange(gate).and_then(|()| wait::after_exchange(gate)),
    };
    match &outcome {
        Ok(()) => gate.say("done"),
        Err(failure) => gate.plan.say(format_args!("failed: {failure}")),
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use letmein_common::{
        ResourceId, UserId,
        hmac::KeyedStates,
        wire::challenge::{LEN, Message, NO_TOKEN, Operation},
    };
    use std::net::UdpSocket;

    fn plan(families: Families, timeout: Duration) -> Arc<Plan> {
        Arc::new(Plan {
            operation: Operation::Knock,
            host: "gate".to_owned(),
            port: 1,
            transport: Transport::Udp,
            timeout,
            user: UserId(1),
            key: Box::new(KeyedStates::new(&[0x5A; 32])),
            resource: ResourceId(2),
            families,
            silent: None,
            wait: None,
            service: None,
            verbose: false,
            wanted: "ssh".to_owned(),
        })
    }

    /// An address that answers a KNOCK with these messages, after a while, or never.
    fn answering(operations: &'static [Operation], after: Duration) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; LEN];
            for operation in operations {
                let (length, peer) = socket.recv_from(&mut buffer).unwrap();
                let asked = Message::parse(&buffer[..length]).unwrap();
                thread::sleep(after);
                let answer = Message {
                    operation: *operation,
                    auth: NO_TOKEN,
                    ..asked
                };
                socket.send_to(&answer.to_bytes(), peer).unwrap();
            }
            thread::sleep(Duration::from_secs(30));
        });
        address
    }

    const NOW: Duration = Duration::ZERO;
    const OPENS: &[Operation] = &[Operation::Challenge, Operation::ComeIn];
    const REFUSES: &[Operation] = &[Operation::GoAway];

    fn outcome(families: Families, addresses: &[SocketAddr]) -> (Result<(), u8>, Duration) {
        let start = Instant::now();
        let timeout = Duration::from_secs(3);
        let outcome = knock_on(&plan(families, timeout), addresses, start + timeout);
        let outcome = outcome.map(drop).map_err(|failures| exit_code(&failures));
        (outcome, start.elapsed())
    }

    #[test]
    fn one_success_is_enough_and_the_silent_other_is_not_waited_for() {
        let (opens, silent) = (answering(OPENS, NOW), answering(&[], NOW));
        let (result, took) = outcome(Families::Any, &[silent, opens]);
        assert_eq!(result, Ok(()));
        assert!(took >= LINGER && took < Duration::from_millis(2500), "{took:?}");
        assert_eq!(
            outcome(Families::Any, &[answering(REFUSES, NOW), answering(OPENS, NOW)]).0,
            Ok(())
        );
    }

    #[test]
    fn the_slower_address_is_opened_too() {
        let (opens, slow) = (answering(OPENS, NOW), answering(OPENS, Duration::from_millis(60)));
        let (result, took) = outcome(Families::Any, &[opens, slow]);
        assert_eq!(result, Ok(()));
        assert!(took >= Duration::from_millis(120), "{took:?}");
    }

    #[test]
    fn both_have_to_succeed_when_both_are_asked_for() {
        assert_eq!(
            outcome(Families::Both, &[answering(OPENS, NOW), answering(OPENS, NOW)]).0,
            Ok(())
        );
        assert_eq!(
            outcome(Families::Both, &[answering(OPENS, NOW), answering(REFUSES, NOW)]).0,
            Err(1)
        );
        assert_eq!(
            outcome(Families::Both, &[answering(OPENS, NOW), answering(&[], NOW)]).0,
            Err(3)
        );
    }

    #[test]
    fn the_most_telling_failure_makes_the_exit_code() {
        assert_eq!(
            outcome(Families::Any, &[answering(&[], NOW), answering(REFUSES, NOW)]).0,
            Err(1)
        );
    }
}
