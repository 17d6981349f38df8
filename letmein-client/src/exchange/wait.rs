//! Trying the port that a knock opens, until it takes connections.
//!
//! A closed port swallows what it is sent, so an attempt that came too early is not answered any more. Several are
//! therefore under way at the same time, each later than the last, and the first that gets through counts.

use super::{Failure, gate::Gate};
use crate::plan::Wait;
use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
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
    mut again: impl FnMut() -> io::Result<()>,
) -> Result<(), Failure> {
    let at = SocketAddr::new(gate.address.ip(), wait.port);
    let started = Instant::now();
    let deadline = started + wait.duration;
    let first = match told {
        Told::Open => Duration::ZERO,
        Told::Nothing => FIRST_PAUSE,
    };
    let mut attempts = Schedule::new(started, first);
    let mut repeats = Schedule::new(started, FIRST_REPEAT);
    let mut refused = false;
    let (sender, outcomes) = channel();
    loop {
        let next = match told {
            Told::Open => attempts.next,
            Told::Nothing => attempts.next.min(repeats.next),
        };
        let pause = next.min(deadline).saturating_duration_since(Instant::now());
        match outcomes.recv_timeout(pause) {
            Ok(Ok(())) => {
                gate.say(format_args!("{at} takes connections"));
                return Ok(());
            }
            Ok(Err(kind)) => {
                refused = kind == io::ErrorKind::ConnectionRefused;
                continue;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let now = Instant::now();
        if now >= deadline {
            let waited = wait.duration;
            return Err(match told {
                Told::Open => Failure::NoService { at, waited, refused },
                Told::Nothing => Failure::StillClosed { at, waited, refused },
            });
        }
        if attempts.is_due(now) {
            attempts.advance(now, GROWTH, LONGEST_PAUSE);
            let (sender, limit) = (sender.clone(), ATTEMPT.min(deadline - now));
            // Not waited for: what is still under way at the end is ended by the system, and never gets to the service.
            thread::spawn(move || {
                let outcome = TcpStream::connect_timeout(&at, limit);
                sender.send(outcome.map(drop).map_err(|error| error.kind()))
            });
        }
        if told == Told::Nothing && repeats.is_due(now) {
            repeats.advance(now, 2, wait.duration);
            again().map_err(|error| gate.network(error))?;
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
