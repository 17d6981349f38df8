//! Connections from very many sources of one network, on which nothing is said.

use super::{Arrives, Attack, CONTROL, at_a_rate};
use nix::{errno::Errno, libc};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::VecDeque,
    net::{Ipv6Addr, SocketAddr},
    sync::atomic::Ordering,
    time::Duration,
};

/// The /56s of one /48.
const SOURCES: u64 = 256;
/// Connections that are held at one time: more than any gate takes.
const HELD: usize = 640;
/// The gate's address for the attacker.
const GATE: Ipv6Addr = Ipv6Addr::new(0xFD77, 2, 0, 0, 0, 0, 0, 1);

/// So many connections a second. Each is held until that many have been made after it.
pub fn crowd(rate: u64) -> Attack {
    Attack {
        rate,
        arrives: Arrives::Connections,
        run: Box::new(move |tally| {
            let gate = SocketAddr::from((GATE, CONTROL)).into();
            let mut held = VecDeque::with_capacity(HELD);
            at_a_rate(rate, tally, |number| {
                let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
                socket.set_nonblocking(true)?;
                // A reset when it is given up: a port that waits for the end of time would soon be missed.
                socket.set_linger(Some(Duration::ZERO))?;
                socket.bind(&SocketAddr::from((source(number), 0)).into())?;
                match socket.connect(&gate) {
                    Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error.into()),
                    _ => {}
                }
                held.push_back(socket);
                if held.len() > HELD
                    && let Some(oldest) = held.pop_front()
                {
                    let connected = was_connected(&oldest);
                    tally.connected.fetch_add(connected.into(), Ordering::Relaxed);
                }
                Ok(())
            })?;
            let connected = held.iter().filter(|socket| was_connected(socket)).count();
            tally
                .connected
                .fetch_add(u64::try_from(connected)?, Ordering::Relaxed);
            Ok(())
        }),
    }
}

/// Whether the gate has taken it, and perhaps ended it by now.
fn was_connected(socket: &Socket) -> bool {
    match socket.take_error() {
        Ok(None) => socket.peer_addr().is_ok(),
        Ok(Some(error)) => error.raw_os_error() == Some(Errno::ECONNRESET as i32),
        Err(_) => false,
    }
}

/// In a /56 of its own.
fn source(number: u64) -> Ipv6Addr {
    let network = u16::try_from(number % SOURCES).unwrap_or_default();
    Ipv6Addr::new(0xFD90, 0, 0, network << 8, 0, 0, 0, 1)
}
