//! When leases end whose connections end with them (`cut = true`). The kernel closes a lease by its own clock, and tells
//! nobody in time; so this one looks after those leases, and only those.

use crate::{firewall::LeaseKey, server::State};
use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{sync::Notify, time::sleep_until};

/// How much later than the lease's end its connections are ended: the kernel counts in steps of up to 10 ms.
pub const GRACE: Duration = Duration::from_millis(50);

/// The ends of such leases.
#[derive(Default)]
pub struct Cuts {
    ends: HashMap<LeaseKey, Instant>,
    in_order: BTreeSet<(Instant, LeaseKey)>,
    changed: Rc<Notify>,
}

impl Cuts {
    /// The lease ends at this time, whatever was known of it before.
    pub fn set(&mut self, key: LeaseKey, end: Instant) {
        if let Some(earlier) = self.ends.insert(key, end) {
            self.in_order.remove(&(earlier, key));
        }
        self.in_order.insert((end, key));
        self.changed.notify_one();
    }

    /// The lease has ended in another way.
    pub fn remove(&mut self, key: &LeaseKey) {
        if let Some(end) = self.ends.remove(key) {
            self.in_order.remove(&(end, *key));
        }
    }

    /// When there is something to do next.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.in_order.first().map(|(end, _)| *end + GRACE)
    }

    /// The leases that have ended by now, which are forgotten here.
    pub fn take_ended(&mut self, now: Instant) -> Vec<LeaseKey> {
        let mut ended = Vec::new();
        while let Some((end, key)) = self.in_order.first().copied()
            && end + GRACE <= now
        {
            self.in_order.pop_first();
            self.ends.remove(&key);
            ended.push(key);
        }
        ended
    }
}

/// Ends connections whose leases have run out, for good.
pub async fn serve(state: Rc<State>) {
    let changed = Rc::clone(&state.leases.borrow().cuts().changed);
    loop {
        let next = state.leases.borrow().cuts().next();
        match next {
            Some(next) => tokio::select! {
                () = sleep_until(next.into()) => state.leases.borrow_mut().cut_ended(),
                () = changed.notified() => {}
            },
            None => changed.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::Protocol;

    fn key(port: u16) -> LeaseKey {
        LeaseKey::new([192, 0, 2, 1].into(), Protocol::Tcp, port)
    }

    #[test]
    fn leases_end_in_order_and_once() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut cuts = Cuts::default();
        cuts.set(key(1), start + 3 * second);
        cuts.set(key(2), start + second);
        cuts.set(key(3), start + 2 * second);
        assert_eq!(cuts.next(), Some(start + second + GRACE));
        assert_eq!(cuts.take_ended(start + second), []);
        assert_eq!(cuts.take_ended(start + 2 * second + GRACE), [key(2), key(3)]);
        assert_eq!(cuts.take_ended(start + 9 * second), [key(1)]);
        assert_eq!(cuts.take_ended(start + 9 * second), []);
        assert_eq!(cuts.next(), None);
    }

    #[test]
    fn a_new_end_replaces_the_old_one() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut cuts = Cuts::default();
        cuts.set(key(1), start + second);
        cuts.set(key(1), start + 3 * second);
        assert_eq!(cuts.take_ended(start + 2 * second), []);
        cuts.set(key(2), start + second);
        cuts.remove(&key(2));
        assert_eq!(cuts.take_ended(start + 9 * second), [key(1)]);
    }
}
