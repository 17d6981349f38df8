//! Asking the warden, who alone opens and closes.

use crate::{
    channel::Channel,
    requests::{Action, FromGatekeeper, Outcome, Request},
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};
use tokio::sync::oneshot;
use tracing::error;

/// The other process, as this one sees it.
pub struct Warden {
    channel: Rc<Channel>,
    next: Cell<u64>,
    waiting: RefCell<HashMap<u64, oneshot::Sender<Outcome>>>,
}

/// The warden has not done it. Its log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl Warden {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(channel: Rc<Channel>) -> Self {
        Self {
            channel,
            next: Cell::new(1),
            waiting: RefCell::default(),
        }
    }

    /// Has it done.
    pub async fn ask(&self, action: Action) -> Result<(), Refused> {
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
