//! What the service manager is told, if one has started us: that we serve, that we stop, and that we are not stuck.
//!
//! Without `NOTIFY_SOCKET` in the environment, nothing of this does anything. A message waits for nobody, unless
//! the manager has stopped reading and its queue is full.

use sd_notify::NotifyState;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::warn;

/// Ports are closed, the XDP program is attached and every socket listens. `status` is for `systemctl status`.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A changed configuration is being put into force. [`ready`] says when that is over, whatever came of it.
pub fn reloading() {
    let Ok(now) = NotifyState::monotonic_usec_now() else {
        return;
    };
    tell(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]);
}

/// We are about to end. From here on the watchdog is not waited for.
pub fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping; ports stay closed"),
    ]);
}

/// All goes on.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// A manager that does not listen is no reason to stop serving.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("cannot tell the service manager ($NOTIFY_SOCKET): {error}");
    }
}

/// The manager's watchdog: it restarts who has not said for some time that all goes on.
pub struct Watchdog(Option<Interval>);

impl Watchdog {
    /// As often as the manager asks for, and twice as often to be safe. Needs a tokio runtime.
    #[must_use]
    pub fn asked_for() -> Self {
        let half = sd_notify::watchdog_enabled().map(|limit| (limit / 2).max(Duration::from_millis(1)));
        Self(half.map(|half| {
            let mut clock = interval(half);
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            clock
        }))
    }

    /// Waits until it is due to say so, for ever if nobody asks. Whoever waits for this has to be what serves knocks: a
    /// thread of its own would go on when that hangs.
    pub async fn due(&mut self) {
        match &mut self.0 {
            Some(clock) => {
                clock.tick().await;
            }
            None => std::future::pending().await,
        }
    }
}
