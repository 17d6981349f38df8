//! When leases end whose connections end with them (`cut = true`). The kernel closes a lease by its own clock, and tells
//! nobody in time; so this one looks after those leases, and only those.

use super::ends::Ends;
use crate::{clock, firewall::LeaseKey, server::State};
use std::{rc::Rc, time::Duration};
use tokio::{sync::Notify, time::sleep};

/// The ends of such leases, in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Default)]
pub struct Cuts {
    ends: Ends<LeaseKey>,
    changed: Rc<Notify>,
}

impl Cuts {
    /// The lease ends at this time, whatever was known of it before.
    pub(super) fn set(&mut self, key: LeaseKey, end: u64) {
        self.ends.set(key, end);
        self.changed.notify_one();
    }

    /// The lease has ended in another way.
    pub(super) fn remove(&mut self, key: &LeaseKey) {
        self.ends.remove(key);
    }

    /// The leases that have ended by now, which are forgotten here.
    pub(super) fn take_ended(&mut self, now: u64) -> Vec<LeaseKey> {
        std::iter::from_fn(|| self.ends.pop_ended(now)).collect()
    }
}

/// Ends connections whose leases have run out, for good.
pub async fn serve(state: Rc<State>) {
    let changed = Rc::clone(&state.leases.borrow().cuts.changed);
    loop {
        let next = state.leases.borrow().cuts.ends.next();
        let Some(next) = next else {
            changed.notified().await;
            continue;
        };
        // A timer counts in milliseconds.
        let wait = Duration::from_nanos(next.saturating_sub(clock::monotonic())) + Duration::from_millis(1);
        tokio::select! {
            () = sleep(wait) => state.leases.borrow_mut().cut_ended(),
            () = changed.notified() => {}
        }
    }
}
