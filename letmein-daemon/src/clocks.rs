//! What the kernel's timeouts know nothing of: that the machine was suspended, that a user's time is over by a clock that
//! was set, and that the machine was restored from a snapshot.
//!
//! While the machine is suspended, the clock stands still that leases are counted by, in nftables and in the XDP program.
//! How long that was in all is known (`CLOCK_BOOTTIME` goes on). Leases are shortened by it as soon as it is seen, and a
//! file says up to which suspension this was done.

use crate::{
    clock,
    leases::{LeaseError, Leases},
    netlink::Listener,
    server::State,
};
use letmein_common::UserId;
use nix::sys::socket::SockProtocol;
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, SystemTime},
};
use tokio::{
    task::yield_now,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

/// How often to look at the clocks.
const GLANCE: Duration = Duration::from_secs(1);
/// The clocks are not read at quite the same time. Nobody sleeps for less.
const NAP: u64 = 100_000_000;
/// Leases at a time, between which knocks are served.
const AT_ONCE: usize = 1024;
/// The multicast group of the kernel's own notifications about devices (`lib/kobject_uevent.c`).
const UEVENTS: u32 = 1;
/// What one of them says when a virtual machine was restored from a snapshot or copied (`drivers/virt/vmgenid.c`).
const NEW_GENERATION: &[u8] = b"NEW_VMGENID=1";

/// What was seen last.
pub struct Clocks {
    record: PathBuf,
    asleep: u64,
    /// Users whose time is over.
    over: HashSet<UserId>,
    uevents: Option<Listener>,
}

impl Clocks {
    /// Shortens leases of an earlier run by how long the machine has slept since that has last done so. Closes them if
    /// nobody knows how long that is. Needs a runtime.
    pub fn take_over(record: PathBuf, leases: &mut Leases) -> Result<Self, LeaseError> {
        let asleep = clock::asleep();
        let slept = match read(&record) {
            Some(before) if asleep.saturating_add(NAP) >= before => Some(asleep.saturating_sub(before)),
            None if asleep < NAP => Some(0),
            _ => None,
        };
        let keys = leases.keys();
        match slept {
            Some(slept) if slept < NAP => {}
            Some(slept) => {
                let closed = leases.shorten(&keys, Duration::from_nanos(slept))?;
                tell(slept, keys.len(), closed);
            }
            None if keys.is_empty() => {}
            None => {
                let closed = leases.shorten(&keys, Duration::MAX)?;
                warn!(
                    event = "leases-closed",
                    leases = closed,
                    "closed {closed} leases of an earlier run: nobody knows how long the machine was suspended since"
                );
            }
        }
        let uevents = Listener::open(SockProtocol::NetlinkKObjectUEvent, UEVENTS);
        let uevents = uevents.inspect_err(|error| {
            warn!("it will not be noticed if this machine is restored from a snapshot: {error}");
        });
        let clocks = Self {
            record,
            asleep,
            over: HashSet::new(),
            uevents: uevents.ok(),
        };
        clocks.note();
        Ok(clocks)
    }

    /// Keeps leases right for good.
    pub async fn keep(mut self, state: Rc<State>) {
        let mut glances = interval(GLANCE);
        glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let restored = tokio::select! {
                _ = glances.tick() => false,
                restored = told(&mut self.uevents) => restored,
            };
            if restored {
                restore(&state).await;
            }
            self.wake(&state).await;
            self.end_users(&state).await;
        }
    }

    /// Sees whether the machine has slept.
    async fn wake(&mut self, state: &State) {
        let asleep = clock::asleep();
        let slept = asleep.saturating_sub(self.asleep);
        if slept < NAP {
            return;
        }
        let keys = state.leases.borrow().keys();
        let mut closed = 0;
        for keys in keys.chunks(AT_ONCE) {
            let shortened = state
                .leases
                .borrow_mut()
                .shorten(keys, Duration::from_nanos(slept));
            match shortened {
                Ok(count) => closed += count,
                Err(error) => complain(error),
            }
            yield_now().await;
        }
        self.asleep = asleep;
        self.note();
        tell(slept, keys.len(), closed);
    }

    /// Ends the grants of users whose time is over since the last look.
    async fn end_users(&mut self, state: &State) {
        let now = SystemTime::now();
        let config = state.config();
        let over = config
            .users()
            .filter(|(_, user)| user.until.is_some_and(|until| until <= now));
        let over: HashSet<_> = over.map(|(id, _)| id).collect();
        let ended: HashSet<_> = over.difference(&self.over).copied().collect();
        self.over = over;
        if ended.is_empty() {
            return;
        }
        let closed = close(state, |user| user.is_some_and(|user| ended.contains(&user))).await;
        if closed > 0 {
            info!(
                event = "leases-closed",
                leases = closed,
                "closed {closed} leases of users whose time is over (until in their sections)"
            );
        }
    }

    /// Notes up to when leases are right.
    fn note(&self) {
        let unfinished = self.record.with_extension("asleep-new");
        let written = fs::write(&unfinished, self.asleep.to_string())
            .and_then(|()| fs::rename(&unfinished, &self.record));
        if let Err(error) = written {
            // An old one would have leases shortened twice, and none has them closed.
            let _none = fs::remove_file(&self.record);
            warn!(
                "cannot write {}: the next start closes all leases if the machine was ever suspended: {error}",
                self.record.display()
            );
        }
    }
}

/// Nobody knows how long ago this machine was as it is now: leases end, and silent knocks have to be new ones.
async fn restore(state: &State) {
    state.unknown.doubt(clock::monotonic());
    let closed = close(state, |_| true).await;
    warn!(
        event = "restored",
        leases = closed,
        "this machine was restored from a snapshot, or is a copy: closed {closed} leases; silent knocks are taken in a \
         minute"
    );
}

/// Closes the grants of these users, or `None` for what no user has opened. Returns how many that are.
async fn close(state: &State, whose: impl Fn(Option<UserId>) -> bool) -> usize {
    let (mut last, mut closed) = (None, 0);
    loop {
        let page = state.leases.borrow().page(last.as_ref(), AT_ONCE);
        let Some(end) = page.last() else {
            return closed;
        };
        last = Some(*end);
        let outcome = state.leases.borrow_mut().close_of(&page, &whose);
        match outcome {
            Ok(count) => closed += count,
            Err(error) => complain(error),
        }
        yield_now().await;
    }
}

/// Waits for the kernel to say something. Returns whether it is that the machine was restored.
async fn told(uevents: &mut Option<Listener>) -> bool {
    let Some(listener) = uevents else {
        return std::future::pending().await;
    };
    let mut restored = false;
    let read = async {
        listener.ready().await?;
        // What was lost may have been it; but nobody is locked out for a lost notification about some device.
        listener.read(|message| restored |= message.is_some_and(is_new_generation))
    };
    if let Err(error) = read.await {
        warn!("it will not be noticed any more if this machine is restored from a snapshot: {error}");
        *uevents = None;
    }
    restored
}

/// A notification is made of lines that end with a zero byte.
fn is_new_generation(message: &[u8]) -> bool {
    message
        .split(|byte| *byte == 0)
        .any(|line| line == NEW_GENERATION)
}

fn read(record: &Path) -> Option<u64> {
    fs::read_to_string(record).ok()?.trim().parse().ok()
}

fn tell(slept: u64, leases: usize, closed: usize) {
    let slept = Duration::from_nanos(slept);
    info!(
        event = "slept",
        leases,
        closed,
        "the machine was suspended for {slept:.1?}: {leases} leases are shortened by that, which closed {closed}"
    );
}

fn complain(error: LeaseError) {
    error!(
        "leases that are over cannot be closed: {:#}; `letmeind revoke all` closes all",
        anyhow::Error::from(error)
    );
}

#[cfg(test)]
mod tests {
    use super::is_new_generation;

    #[test]
    fn the_kernels_word_is_understood() {
        assert!(is_new_generation(
            b"change@/devices/LNXSYSTM:00/QEMUVGID:00\0ACTION=change\0NEW_VMGENID=1\0SEQNUM=7\0"
        ));
        for other in [
            &b""[..],
            b"add@/devices/virtual/net/veth0\0ACTION=add\0",
            b"change@/a\0SYNTH_ARG_NEW_VMGENID=1\0",
            b"change@/a\0NEW_VMGENID=10\0",
        ] {
            assert!(!is_new_generation(other), "{other:?}");
        }
    }
}
