//! Putting back what others take away: rules, sets and leases, as soon as nftables tells of it.
//!
//! A flush of the whole ruleset, a restart of nftables or the deletion of anything of ours is undone. The deletion of
//! single leases is not: who does that revokes them.

use crate::{
    firewall::{LeaseKey, Watch},
    leases::{LeaseError, Leases},
    server::State,
};
use std::{io, rc::Rc, time::Duration};
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout_at},
};
use tracing::{error, info, warn};

/// From the first notification until the rules are looked at: what comes as several transactions is healed once.
const SETTLE: Duration = Duration::from_millis(10);
/// The most that this doubles to while somebody keeps breaking what we heal. Protected ports are open meanwhile.
const LONGEST_SETTLE: Duration = Duration::from_millis(80);
/// Breaks that come this soon after healing count as one quarrel.
const QUARREL: Duration = Duration::from_secs(2);
/// From one failure to the next attempt, and the most that it doubles to.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// Leases in one transaction, between which knocks are served.
const AT_ONCE: usize = 4096;

/// Heals for good.
pub async fn serve(state: Rc<State>, watch: Watch) {
    let mut healer = Healer {
        state,
        watch,
        // Something may have happened since the rules were installed.
        look: true,
        overrun: false,
        deleted: 0,
        by: None,
        failure: None,
        settle: SETTLE,
        healed_at: None,
    };
    if let Err(error) = healer.serve().await {
        error!("changes of the firewall by others are not noticed any more: {error}; restart letmeind");
    }
}

struct Healer {
    state: Rc<State>,
    watch: Watch,
    /// The rules have to be looked at.
    look: bool,
    /// Notifications were lost, and with them possibly the deletion of leases.
    overrun: bool,
    /// Leases that somebody has revoked, and that the log has not told of.
    deleted: usize,
    /// Who has changed something.
    by: Option<String>,
    failure: Option<Failure>,
    settle: Duration,
    healed_at: Option<Instant>,
}

struct Failure {
    /// What the log was told.
    text: String,
    pause: Duration,
    retry_at: Instant,
}

impl Healer {
    async fn serve(&mut self) -> io::Result<()> {
        loop {
            self.wait().await?;
            self.take()?;
            if self.look {
                let quarrel = self.healed_at.is_some_and(|at| at.elapsed() < QUARREL);
                self.settle = if quarrel {
                    (2 * self.settle).min(LONGEST_SETTLE)
                } else {
                    SETTLE
                };
                sleep(self.settle).await;
                self.take()?;
                self.look = false;
                self.heal().await?;
            }
            self.tell_of_revocations();
        }
    }

    /// Waits for notifications, or for the time of the next attempt.
    async fn wait(&mut self) -> io::Result<()> {
        if self.look {
            return Ok(());
        }
        let Some(failure) = &self.failure else {
            return self.watch.ready().await;
        };
        match timeout_at(failure.retry_at, self.watch.ready()).await {
            Ok(ready) => ready,
            Err(_elapsed) => {
                self.look = true;
                Ok(())
            }
        }
    }

    /// Reads the notifications.
    fn take(&mut self) -> io::Result<()> {
        let changes = self.watch.take()?;
        self.deleted += self.state.leases.borrow_mut().note(&changes);
        self.overrun |= changes.overrun;
        self.look |= changes.rules || changes.overrun;
        if self.by.is_none() {
            self.by = changes.by;
        }
        Ok(())
    }

    fn tell_of_revocations(&mut self) {
        if self.deleted > 0 {
            let who = self.who();
            info!(
                event = "revoked",
                leases = self.deleted,
                "{who} deleted {} leases from nftables: they are revoked",
                self.deleted
            );
            self.deleted = 0;
        }
    }

    async fn heal(&mut self) -> io::Result<()> {
        let healing = self.put_back().await?;
        match healing {
            Ok(restored) => {
                self.watch.repaired();
                if let Some(restored) = restored {
                    warn!(
                        event = "healed",
                        leases = restored,
                        "{} changed the firewall: rules and {restored} leases are put back",
                        self.who()
                    );
                    self.healed_at = Some(Instant::now());
                } else if self.failure.is_some() {
                    info!("the firewall is as it should be again");
                }
                self.failure = None;
                self.by = None;
            }
            Err(error) => self.fail(&format!("{:#}", anyhow::Error::from(error))),
        }
        Ok(())
    }

    /// How many leases were put back, if anything was wrong.
    async fn put_back(&mut self) -> io::Result<Result<Option<usize>, LeaseError>> {
        let begun = begin(&mut self.state.leases.borrow_mut());
        let lost = match begun {
            Ok(lost) => lost,
            Err(error) => return Ok(Err(error)),
        };
        if self.overrun {
            self.overrun = false;
            if let Err(error) = self.forget_missing().await? {
                self.overrun = true;
                return Ok(Err(error));
            }
        }
        let Some(lost) = lost else {
            return Ok(Ok(None));
        };
        let mut restored = 0;
        for keys in lost.chunks(AT_ONCE) {
            let put_back = self.state.leases.borrow_mut().restore(keys);
            match put_back {
                Ok(count) => restored += count,
                Err(error) => return Ok(Err(error)),
            }
            // What the transactions notify of must not pile up.
            self.take()?;
            yield_now().await;
        }
        self.state.leases.borrow_mut().all_restored();
        Ok(Ok(Some(restored)))
    }

    /// Notifications were lost: leases that somebody has deleted meanwhile are revoked.
    async fn forget_missing(&mut self) -> io::Result<Result<(), LeaseError>> {
        let keys = self.state.leases.borrow_mut().keys();
        for keys in keys.chunks(AT_ONCE) {
            let forgotten = self.state.leases.borrow_mut().forget_missing(keys);
            match forgotten {
                Ok(count) => self.deleted += count,
                Err(error) => return Ok(Err(error)),
            }
            yield_now().await;
        }
        Ok(Ok(()))
    }

    /// Says so once, and tries again later.
    fn fail(&mut self, text: &str) {
        let pause = match &self.failure {
            Some(failure) if failure.text == text => (2 * failure.pause).min(LAST_RETRY),
            _ => {
                error!(
                    "{} changed the firewall, and it cannot be put back: {text}",
                    self.who()
                );
                FIRST_RETRY
            }
        };
        self.failure = Some(Failure {
            text: text.to_owned(),
            pause,
            retry_at: Instant::now() + pause,
        });
    }

    fn who(&self) -> &str {
        self.by
            .as_deref()
            .filter(|by| !by.is_empty())
            .unwrap_or("somebody")
    }
}

/// Puts the rules back if they are not as they should be, and returns the leases that are missing then.
fn begin(leases: &mut Leases) -> Result<Option<Vec<LeaseKey>>, LeaseError> {
    if leases.are_intact()? {
        return Ok(None);
    }
    leases.repair()?;
    Ok(Some(leases.lost()))
}
