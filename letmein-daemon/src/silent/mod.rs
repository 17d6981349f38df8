//! Silent knocks: which tags are taken at which time ([`tags`]), and what a knock does that proved a key ([`knock`]).

pub mod knock;
pub mod tags;

use crate::{clock, config::Config, control::udp::Gate, server::State, xdp::Knocks};
use std::{rc::Rc, time::Duration};
use tags::{Change, Clock, TagTable};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::error;

/// How often the clocks are looked at: a step is noticed this late, a new epoch begins without waiting for it.
const GLANCE: Duration = Duration::from_secs(1);

/// Fills the gate's table of tags for the first time.
///
/// `remembers` says that the nonces which an earlier run accepted are still known. Otherwise silent knocks are taken
/// later: see [`TagTable::new`].
pub fn begin(config: &Config, gate: &Gate, remembers: bool) -> TagTable {
    let unknown_before = (!remembers).then(clock::monotonic);
    let mut table = TagTable::new(config, unknown_before);
    apply(gate, table.changes(config, Clock::now()));
    table
}

/// Keeps the table true for good.
pub async fn renew(state: Rc<State>, gate: Rc<Gate>, mut table: TagTable) {
    /// Changes at a time, between which knocks are served.
    const AT_ONCE: usize = 256;
    let mut clock = interval(GLANCE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let mut changes = table.changes(&state.config, Clock::now()).peekable();
        while changes.peek().is_some() {
            apply(&gate, changes.by_ref().take(AT_ONCE));
            tokio::task::yield_now().await;
        }
    }
}

/// Serves what comes through the ring buffer, for good.
pub async fn serve(state: Rc<State>, mut knocks: Knocks) {
    loop {
        if let Err(error) = knocks.ready(|knock| knock::act(&state, knock)).await {
            error!("cannot wait for silent knocks: {error}");
            sleep(GLANCE).await;
        }
    }
}

/// Changes the gate's table. What fails is told at once, not once for each of perhaps thousands.
fn apply(gate: &Gate, changes: impl Iterator<Item = Change>) {
    let mut missing = 0_usize;
    let mut cause = None;
    for change in changes {
        let done = match gate {
            Gate::Kernel(kernel) => kernel.borrow_mut().change_tag(&change),
            Gate::Userspace(gate) => {
                gate.change_tag(change);
                Ok(())
            }
        };
        if let Err(error) = done {
            missing += 1;
            cause = Some(error);
        }
    }
    if let Some(error) = cause {
        error!(
            "{missing} tags are missing, and who knocks silently with them is not heard: {:#}",
            anyhow::Error::from(error)
        );
    }
}
