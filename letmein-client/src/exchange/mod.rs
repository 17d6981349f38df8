//! The exchange with the gate: KNOCK, CHALLENGE, RESPONSE, COMEIN.

mod tcp;
mod udp;

use crate::{
    config::Transport,
    plan::{Families, Plan},
};
use letmein_common::{
    hmac::Auth,
    wire::challenge::{Message, NO_TOKEN, Operation, SALT_LEN},
};
use std::{
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    thread,
};
use thiserror::Error;

/// Why the gate did not open.
#[derive(Debug, Error)]
pub enum Failure {
    #[error("the gate refused: this user may not open that resource, or too much is open already")]
    Refused,
    #[error(
        "no answer from {at}. A gate does not answer who proves no key: check user id and key, the resource, the \
         address and control port, and whether UDP gets through"
    )]
    NoAnswer { at: String },
    #[error("{at}: {source}")]
    Network { at: String, source: io::Error },
}

/// Knocks on the host's addresses, all at once.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    let addresses = resolve(plan)?;
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = addresses
            .iter()
            .map(|address| scope.spawn(move || one(plan, *address)))
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    });
    let all = plan.families == Families::Both;
    let succeeded = outcomes.iter().any(Result::is_ok);
    match outcomes.into_iter().find_map(Result::err) {
        Some(failure) if all || !succeeded => Err(failure),
        _ => Ok(()),
    }
}

/// The first address of each family that is asked for.
fn resolve(plan: &Plan) -> Result<Vec<SocketAddr>, Failure> {
    let failed = |source| Failure::Network {
        at: plan.host.clone(),
        source,
    };
    let found: Vec<_> = (plan.host.as_str(), plan.port)
        .to_socket_addrs()
        .map_err(failed)?
        .collect();
    let v4 = found.iter().find(|address| address.is_ipv4());
    let v6 = found.iter().find(|address| address.is_ipv6());
    let chosen: Vec<_> = match plan.families {
        Families::V4 => v4.into_iter().collect(),
        Families::V6 => v6.into_iter().collect(),
        Families::Any | Families::Both => v6.into_iter().chain(v4).collect(),
    };
    let wanted = if plan.families == Families::Both { 2 } else { 1 };
    if chosen.len() < wanted {
        let missing = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no such address");
        return Err(failed(missing));
    }
    Ok(chosen.into_iter().copied().collect())
}

fn one(plan: &Plan, gate: SocketAddr) -> Result<(), Failure> {
    plan.say(&format!("knocking on {gate} over {:?}", plan.transport));
    let outcome = match plan.transport {
        Transport::Udp => udp::exchange(plan, gate),
        Transport::Tcp => tcp::exchange(plan, gate),
    };
    let outcome = outcome.unwrap_or_else(|source| {
        Err(match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::UnexpectedEof => {
                Failure::NoAnswer { at: gate.to_string() }
            }
            _ => Failure::Network {
                at: gate.to_string(),
                source,
            },
        })
    });
    plan.say(&format!(
        "{gate}: {}",
        outcome
            .as_ref()
            .map_or_else(Failure::to_string, |()| "done".to_owned())
    ));
    outcome
}

/// The first message, with a fresh salt.
fn first(plan: &Plan) -> io::Result<Message> {
    message(plan, plan.operation, &NO_TOKEN)
}

/// The answer to a challenge, with a fresh salt.
fn response(plan: &Plan, token: &Auth) -> io::Result<Message> {
    message(plan, Operation::Response, token)
}

fn message(plan: &Plan, operation: Operation, token: &Auth) -> io::Result<Message> {
    let mut salt = [0; SALT_LEN];
    getrandom::fill(&mut salt).map_err(io::Error::other)?;
    Ok(Message::authenticated(
        operation,
        plan.user,
        plan.resource,
        salt,
        &plan.key,
        token,
    ))
}
