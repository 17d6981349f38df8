//! What a TCP port says, to one attempt.

use serde::Serialize;
use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What an attempt met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// A service.
    Open,
    /// A reset.
    Refused,
    /// Nothing.
    Silent,
    /// No way there from here.
    Unreachable,
}

impl Answer {
    /// For people.
    pub fn explained(self) -> &'static str {
        match self {
            Self::Open => "is open: it takes connections",
            Self::Refused => "is refused: nothing listens, or a firewall rejects",
            Self::Silent => "is silent: closed by a gate, or nobody is there",
            Self::Unreachable => "is unreachable from here",
        }
    }
}

/// Tries it once. A connection is closed at once.
pub fn try_port(at: SocketAddr, patience: Duration) -> Answer {
    match TcpStream::connect_timeout(&at, patience).map_err(|error| error.kind()) {
        Ok(_closed) => Answer::Open,
        Err(io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset) => Answer::Refused,
        Err(io::ErrorKind::TimedOut) => Answer::Silent,
        Err(_) => Answer::Unreachable,
    }
}
