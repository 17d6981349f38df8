//! Asking the warden, who alone opens and closes.

use crate::{
    channel::Channel,
    clock,
    fair::{Place, Turns},
    requests::{Action, FromGatekeeper, Outcome, Request},
};
use letmein_common::UserId;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};
use tokio::sync::oneshot;
use tracing::error;

/// How many requests may wait until they are asked for.
const WAITING: usize = 1024;
/// How many are asked for at a time: enough to keep the warden busy, and few enough that nobody waits for long behind
/// somebody else's.
const AT_ONCE: usize = 4;

/// The other process, as this one sees it.
pub struct Warden {
    channel: Rc<Channel>,
    next: Cell<u64>,
    turns: Rc<Turns>,
    waiting: RefCell<HashMap<u64, oneshot::Sender<Outcome>>>,
    /// What it adds to the monotonic clock, in nanoseconds, to get the time of day.
    clock: Cell<i64>,
}

/// It is not done. The warden's log says why, unless the warden was not even asked, because too many of the same user's
/// requests were waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl Warden {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(channel: Rc<Channel>) -> Self {
        Self {
            channel,
            next: Cell::new(1),
            turns: Rc::new(Turns::new(WAITING, AT_ONCE)),
            waiting: RefCell::default(),
            clock: Cell::new(0),
        }
    }

    /// A place among those who wait to ask for something as this user, unless the user has too many already.
    pub fn enter(&self, user: UserId) -> Result<Place, Refused> {
        self.turns.enter(user).ok_or(Refused)
    }

    /// Has it done, when it is this one's turn.
    pub async fn ask(&self, mut place: Place, action: Action) -> Result<(), Refused> {
        place.turn().await;
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let (settle, settled) = oneshot::channel();
        self.waiting.borrow_mut().insert(number, settle);
        let request = Request { number, action };
        if let Err(error) = self.channel.send(&request.to_bytes()).await {
            error!("cannot ask the warden: {error}");
            self.waiting.borrow_mut().remove(&number);
            return Err(Refused);
        }
        match settled.await {
            Ok(Outcome::Done) => Ok(()),
            Ok(Outcome::Refused) | Err(_) => Err(Refused),
        }
    }

    /// It has told its clock.
    pub fn set_clock(&self, offset: i64) {
        self.clock.set(offset);
    }

    /// The time since 1970, as the warden sees it: by this it says which tags stand for whom.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_nanos(clock::monotonic().saturating_add_signed(self.clock.get()))
    }

    /// Passes on what has become of a request.
    pub fn settle(&self, number: u64, outcome: Outcome) {
        if let Some(settle) = self.waiting.borrow_mut().remove(&number) {
            // Who asked may have given up meanwhile.
            let _unheard = settle.send(outcome);
        }
    }

    /// Answers what the warden has asked.
    pub async fn tell(&self, message: &FromGatekeeper) {
        if let Err(error) = self.channel.send(&message.to_bytes()).await {
            error!("cannot answer the warden: {error}");
        }
    }
}
