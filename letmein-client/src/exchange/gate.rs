//! One address of a gate, and the messages for it.

use super::Failure;
use crate::plan::Plan;
use letmein_common::{
    hmac::Auth,
    wire::challenge::{Message, NO_TOKEN, Operation, SALT_LEN},
};
use std::{
    fmt::Display,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

pub struct Gate {
    pub plan: Arc<Plan>,
    pub address: SocketAddr,
    /// When the time for everything is over.
    pub deadline: Instant,
}

impl Gate {
    /// The first message, or with a token the answer to a challenge; each time with a fresh salt, since a gate
    /// takes each salt once.
    pub fn message(&self, token: Option<&Auth>) -> io::Result<Message> {
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        Ok(Message::authenticated(
            token.map_or(self.plan.operation, |_| Operation::Response),
            self.plan.user,
            self.plan.resource,
            salt,
            &self.plan.key,
            token.unwrap_or(&NO_TOKEN),
        ))
    }

    /// Whether a message is about our user and resource.
    pub fn concerns(&self, message: &Message) -> bool {
        message.user == self.plan.user && message.resource == self.plan.resource
    }

    /// What is left of the time; never zero, which sockets take for "for ever".
    pub fn left(&self) -> Option<Duration> {
        left_until(self.deadline)
    }

    /// As [`Plan::say`].
    pub fn say(&self, text: impl Display) {
        self.plan
            .say(format_args!("{} {}: {text}", self.address, self.plan.transport));
    }

    pub fn refused(&self) -> Failure {
        Failure::Refused { at: self.address }
    }

    pub fn network(&self, source: io::Error) -> Failure {
        Failure::Network {
            at: self.address,
            transport: self.plan.transport,
            source,
        }
    }
}

/// The time until then; `None` instead of zero.
pub fn left_until(until: Instant) -> Option<Duration> {
    Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
}
