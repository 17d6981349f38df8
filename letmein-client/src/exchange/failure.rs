//! Why the gate did not open, and what to check.

use crate::config::Transport;
use std::{io, net::SocketAddr, time::Duration};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum Failure {
    #[error(
        "{at}: the gate refused: this user may not open that resource, or the gate could not open it (its log says \
         which)"
    )]
    Refused { at: SocketAddr },
    #[error(
        "{at}: no answer over {transport} within {timeout:?}. A gate does not answer who proves no key: check user id, \
         key and resource id, then host and control port, then whether {transport} gets through{other}",
        other = other(*.transport)
    )]
    NoAnswer {
        at: SocketAddr,
        transport: Transport,
        timeout: Duration,
    },
    #[error(
        "{at}: the gate took the knock, but nothing came back for the answer to its challenge within {timeout:?}. \
         Perhaps packets get lost, and it may even be done: try what you wanted to do, or knock again"
    )]
    NotFinished { at: SocketAddr, timeout: Duration },
    #[error(
        "{at}: not open {waited:?} after a silent knock{how}. Nobody answers one, so this may be: a clock that is off \
         by more than 30 s, here or there; a wrong user id, key, resource id or gate-number; a gate that takes no silent \
         knocks, or is not there; an address that is changed on the way (NAT: --address source); or no service on that \
         port",
        how = seen(*.refused)
    )]
    StillClosed {
        at: SocketAddr,
        waited: Duration,
        refused: bool,
    },
    #[error(
        "{at}: not open {waited:?} after the knock{how}, though the gate said so. Does the service run, is it on that \
         port, and does another firewall close it?",
        how = seen(*.refused)
    )]
    NoService {
        at: SocketAddr,
        waited: Duration,
        refused: bool,
    },
    #[error(
        "{at}: closed without an answer: the gate does so to who proves no key, and when it has too many connections. \
         Check user id, key and resource id, and whether this is the control port of a gate"
    )]
    Closed { at: SocketAddr },
    #[error("{at}: what answers there is no letmein gate: {seen}. Check host and control port")]
    NoGate { at: SocketAddr, seen: String },
    #[error("{at}: {transport}: {source}. {}", advice(.source.kind(), *.transport))]
    Network {
        at: SocketAddr,
        transport: Transport,
        source: io::Error,
    },
    #[error(
        "{at}: nothing listens on that UDP port, says the network (ICMP, {times} times), and no gate answered within \
         {timeout:?}. Is letmeind running there, with \"udp\" among its transports, and is the control port right?"
    )]
    Unreachable {
        at: SocketAddr,
        times: u32,
        timeout: Duration,
    },
    #[error("{host:?} has no address: {reason}. Check the name in the configuration, and this machine's DNS")]
    Name { host: String, reason: String },
    #[error(
        "{at}: no connection: {source}. Nothing was knocked: no section of the configuration has this host and port"
    )]
    Direct { at: SocketAddr, source: io::Error },
    #[error("this system gives no sockets to wait with: {0}")]
    System(io::Error),
    #[error("{host:?} has no {family} address; leave out {option}")]
    Family {
        host: String,
        family: &'static str,
        option: &'static str,
    },
}

impl Failure {
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } => 1,
            Self::NoAnswer { .. }
            | Self::NotFinished { .. }
            | Self::Closed { .. }
            | Self::StillClosed { .. }
            | Self::NoService { .. } => 3,
            _ => 4,
        }
    }
}

/// Of several failures, the one that came furthest: a machine without IPv6 would otherwise always tell of that.
pub fn exit_code(failures: &[Failure]) -> u8 {
    failures.iter().map(Failure::exit_code).min().unwrap_or(4)
}

fn seen(refused: bool) -> &'static str {
    if refused { " (connections are refused)" } else { "" }
}

fn other(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => " (-T knocks over TCP)",
        Transport::Tcp => " (-U knocks over UDP)",
    }
}

fn advice(kind: io::ErrorKind, transport: Transport) -> &'static str {
    match (kind, transport) {
        (io::ErrorKind::ConnectionRefused, Transport::Tcp) => {
            "Nothing takes connections there: is letmeind running, with \"tcp\" among its transports, and is the \
             control port right?"
        }
        (
            io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::AddrNotAvailable,
            _,
        ) => "Is this machine online, and is the address one that it can reach (-4 and -6 choose)?",
        (io::ErrorKind::PermissionDenied, _) => "A firewall on this machine or on the way forbids it",
        _ => "Check the network between here and there",
    }
}
