//! A silent knock: one datagram, and whatever there is to learn of it is learnt from the port that it opens.

use super::{
    Failure,
    gate::Gate,
    own_address, udp,
    wait::{self, Told},
};
use crate::{config::Address, plan::Silent};
use letmein_common::{
    source,
    wire::silent::{Keys, LEN, NONCE_LEN, Request, epoch},
};
use std::{
    io,
    net::UdpSocket,
    time::{SystemTime, UNIX_EPOCH},
};

/// Knocks, and repeats the knock while the port that is waited for stays closed.
pub fn knock(gate: &Gate, silent: &Silent) -> Result<(), Failure> {
    let knocker = Knocker::new(gate, silent).map_err(|error| gate.network(error))?;
    knocker.send().map_err(|error| gate.network(error))?;
    match &gate.plan.wait {
        Some(wait) => wait::until_open(gate, wait, Told::Nothing, || knocker.send()),
        None => Ok(()),
    }
}

struct Knocker<'a> {
    gate: &'a Gate,
    socket: UdpSocket,
    keys: Keys,
    gate_number: u32,
    request: Request,
}

impl<'a> Knocker<'a> {
    fn new(gate: &'a Gate, silent: &Silent) -> io::Result<Self> {
        let socket = udp::connect(gate.address)?;
        let address = match silent.address {
            Address::Ip(address) => Some(address),
            Address::Source => None,
            Address::Auto => Some(socket.local_addr()?.ip()).filter(|own| own_address::is_global(*own)),
        };
        match address {
            Some(address) => gate.say(format_args!("for {address}")),
            None => gate.say("for the address that the knock arrives from"),
        }
        Ok(Self {
            gate,
            socket,
            keys: Keys::derive(&gate.plan.key),
            gate_number: silent.gate_number,
            request: Request {
                operation: gate.plan.operation,
                lease_seconds: silent.lease_seconds,
                address: address.map(source::Address::from),
            },
        })
    }

    /// Sends a knock of this moment. A gate takes each nonce once, so each has its own.
    fn send(&self) -> io::Result<()> {
        self.gate
            .say(format_args!("sending a silent {:?}", self.request.operation));
        udp::send(&self.socket, &self.message()?, |earlier| {
            self.gate
                .say(format_args!("{earlier}; this may be forged, so going on"));
        })
    }

    fn message(&self) -> io::Result<[u8; LEN]> {
        let plan = &self.gate.plan;
        // A clock before 1970 is as wrong as one in 1970.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let tag = self
            .keys
            .tag(epoch(now.as_secs()), self.gate_number, plan.user, plan.resource);
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        Ok(self.keys.seal(tag, nonce, &self.request))
    }
}
