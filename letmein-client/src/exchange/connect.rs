//! One connection to a service: behind a gate, or without a knock.

use super::{
    Failure, addresses, find, knock_on,
    wait::{self, Missed, Told},
};
use crate::plan::{Families, Plan};
use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

/// Knocks, and then connects to this port of the host, within this time. The first connection is the only one: further
/// attempts are given up before the service has seen them.
pub fn through_the_gate(plan: &Arc<Plan>, port: u16, duration: Duration) -> Result<TcpStream, Vec<Failure>> {
    let deadline = Instant::now() + plan.timeout;
    let gates = find(plan, deadline)?;
    knock_on(plan, &gates, deadline)?;
    let to: Vec<_> = gates
        .iter()
        .map(|gate| SocketAddr::new(gate.ip(), port))
        .collect();
    let told = if plan.silent.is_some() {
        Told::Nothing
    } else {
        Told::Open
    };
    let again = || knock_on(plan, &gates, Instant::now() + plan.timeout).map(drop);
    wait::connect(&to, duration, told, again).map_err(|missed| match missed {
        Missed::Again(failures) => failures,
        Missed::Late { refused } => vec![told.failure(to[0], duration, refused)],
        Missed::System(error) => vec![Failure::System(error)],
    })
}

/// Connects without a knock, to the first address that takes a connection.
pub fn directly(host: &str, port: u16, families: Families, limit: Duration) -> Result<TcpStream, Failure> {
    let deadline = Instant::now() + limit;
    let mut last = None;
    for at in addresses(host, port, families, deadline)? {
        match TcpStream::connect_timeout(&at, limit) {
            Ok(stream) => return Ok(stream),
            Err(source) => last = Some(Failure::Direct { at, source }),
        }
    }
    Err(last.unwrap_or_else(|| Failure::Name {
        host: host.to_owned(),
        reason: "there is none to try".to_owned(),
    }))
}
