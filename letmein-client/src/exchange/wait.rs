//! Trying the port that a knock opens, until it takes connections.
//!
//! A closed port swallows what it is sent, so an attempt that came too early is not answered any more. Several are
//! therefore under way at the same time, each later than the last, and the first that gets through counts.

use super::{Failure, gate::Gate};
use crate::plan::Wait;
use std::{
    io,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{sleep_until, timeout, timeout_at},
};

/// Between a silent knock and the first attempt: what a gate nearby takes to open.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Each pause between attempts is this many times as long as the last. So nearby it is quick, and from far away only a
/// few connections are begun before the first can have been answered.
const GROWTH: u32 = 5;
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long an attempt may take; with the longest pause, ten are under way at the most.
const ATTEMPT: Duration = Duration::from_secs(5);
/// When a silent knock is taken for lost for the first time; from then on after twice as long each time.
const FIRST_REPEAT: Duration = Duration::from_millis(250);

/// What the gate has said to the knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// That it is open.
    Open,
    /// Nothing, as always after a silent knock.
    Nothing,
}

impl Told {
    /// What it means that the port has not opened.
    pub fn failure(self, at: SocketAddr, waited: Duration, refused: bool) -> Failure {
        match self {
            Self::Open => Failure::NoService { at, waited, refused },
            Self::Nothing => Failure::StillClosed { at, waited, refused },
        }
    }
}

/// After an exchange that the gate has ended with COMEIN: waits, if that was asked for.
pub fn after_exchange(gate: &Gate) -> Result<(), Failure> {
    match &gate.plan.wait {
        Some(wait) => until_open(gate, wait, Told::Open, || Ok(())),
        None => Ok(()),
    }
}

/// Returns when the port has taken a connection. `again` repeats the knock.
pub fn until_open(
    gate: &Gate,
    wait: &Wait,
    told: Told,
    again: impl FnMut() -> io::Result<()>,
) -> Result<(), Failure> {
    let at = SocketAddr::new(gate.address.ip(), wait.port);
    match connect(&[at], wait.duration, told, again) {
        Ok(_closed_at_once) => {
            gate.say(format_args!("{at} takes connections"));
            Ok(())
        }
        Err(Missed::Late { refused }) => Err(told.failure(at, wait.duration, refused)),
        Err(Missed::Again(error)) => Err(gate.network(error)),
        Err(Missed::System(error)) => Err(Failure::System(error)),
    }
}

/// Why there is no connection.
pub enum Missed<E> {
    /// The time is over. `refused`: the last attempt met a reset.
    Late { refused: bool },
    /// The knock could not be repeated.
    Again(E),
    /// There is nothing here to connect with.
    System(io::Error),
}

/// The first connection that one of these addresses takes within this time. All other attempts end with it.
pub fn connect<E>(
    to: &[SocketAddr],
    duration: Duration,
    told: Told,
    again: impl FnMut() -> Result<(), E>,
) -> Result<TcpStream, Missed<E>> {
    let started = Instant::now();
    let runtime = Builder::new_current_thread().enable_io().enable_time().build();
    let stream = runtime
        .map_err(Missed::System)?
        .block_on(attempts(to, started, duration, told, again))?;
    stream.set_nonblocking(false).map_err(Missed::System)?;
    Ok(stream)
}

async fn attempts<E>(
    to: &[SocketAddr],
    started: Instant,
    duration: Duration,
    told: Told,
    mut again: impl FnMut() -> Result<(), E>,
) -> Result<TcpStream, Missed<E>> {
    let deadline = started + duration;
    if told == Told::Nothing {
        // tokio's own clock has no parts of a millisecond. Nothing else waits on this thread.
        thread::sleep(FIRST_PAUSE.min(duration));
    }
    let mut attempts = Schedule::new(Instant::now(), Duration::ZERO);
    let mut repeats = Schedule::new(started, FIRST_REPEAT);
    let mut refused = false;
    // What is still under way when this is dropped ends at once, and never gets to the service.
    let mut under_way = JoinSet::new();
    loop {
        let next = match told {
            Told::Open => attempts.next,
            Told::Nothing => attempts.next.min(repeats.next),
        };
        let next = next.min(deadline);
        let ended = if next <= Instant::now() {
            // To sleep until now would be to sleep for up to a millisecond.
            None
        } else if under_way.is_empty() {
            sleep_until(next.into()).await;
            None
        } else {
            let ended = timeout_at(next.into(), under_way.join_next()).await;
            ended.ok().flatten()
        };
        match ended {
            Some(Ok(Ok(stream))) => {
                let stream: tokio::net::TcpStream = stream;
                return stream.into_std().map_err(Missed::System);
            }
            Some(Ok(Err(kind))) => {
                refused = kind == io::ErrorKind::ConnectionRefused;
                continue;
            }
            Some(Err(_)) | None => {}
        }
        let now = Instant::now();
        if now >= deadline {
            return Err(Missed::Late { refused });
        }
        if attempts.is_due(now) {
            attempts.advance(now, GROWTH, LONGEST_PAUSE);
            let limit = ATTEMPT.min(deadline - now);
            for at in to.iter().copied() {
                under_way.spawn(async move {
                    match timeout(limit, tokio::net::TcpStream::connect(at)).await {
                        Ok(outcome) => outcome.map_err(|error| error.kind()),
                        Err(_) => Err(io::ErrorKind::TimedOut),
                    }
                });
            }
        }
        if told == Told::Nothing && repeats.is_due(now) {
            repeats.advance(now, 2, duration);
            again().map_err(Missed::Again)?;
        }
    }
}

/// Moments that get ever further apart.
struct Schedule {
    next: Instant,
    pause: Duration,
}

impl Schedule {
    fn new(start: Instant, pause: Duration) -> Self {
        Self {
            next: start + pause,
            pause: pause.max(FIRST_PAUSE),
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    fn advance(&mut self, now: Instant, growth: u32, longest: Duration) {
        self.pause = self.pause.saturating_mul(growth).min(longest);
        self.next = now + self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use std::net::TcpListener;

    /// Attempts that a full queue swallows, as a closed port does: once there is room again, their own repetitions would
    /// get through one after the other.
    #[test]
    fn the_first_connection_is_the_only_one() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        socket.listen(0).unwrap();
        let service = TcpListener::from(socket);
        let at = service.local_addr().unwrap();
        let filling = TcpStream::connect(at).unwrap();
        let waiting = thread::spawn(move || {
            let again = || Ok::<_, io::Error>(());
            connect(&[at], Duration::from_secs(20), Told::Open, again).ok()
        });
        // Some attempts have been swallowed by now.
        thread::sleep(Duration::from_millis(400));
        let (mut accepted, began) = (Vec::new(), Instant::now());
        service.set_nonblocking(true).unwrap();
        // All that were under way would have been repeated by now.
        while began.elapsed() < Duration::from_secs(3) {
            accepted.extend(service.accept());
            thread::sleep(Duration::from_millis(5));
        }
        let peers: Vec<_> = accepted.iter().map(|(_, peer)| *peer).collect();
        let ours = waiting.join().unwrap().unwrap();
        assert_eq!(peers, [filling.local_addr().unwrap(), ours.local_addr().unwrap()]);
    }
}
