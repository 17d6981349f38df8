//! Silent knocks: which tags are taken at which time ([`tags`]), and what a knock does that proved a key ([`knock`]).

pub mod knock;
pub mod tags;

use crate::{clock, control::udp::Gate, server::State};
use std::{io, rc::Rc, time::Duration};
use tags::{Clock, TagTable};
use tokio::time::{MissedTickBehavior, interval};
use tracing::error;

/// How often the clocks are looked at: a step is noticed this late, a new epoch begins without waiting for it.
const GLANCE: Duration = Duration::from_secs(1);

/// Fills the gate's table of tags for the first time.
///
/// `remembers` says that the nonces which an earlier run accepted are still known. Otherwise no knock of an epoch
/// that began before now is taken: it could be a replay.
pub fn begin(state: &State, gate: &Gate, remembers: bool) -> TagTable {
    let not_before = if remembers { 0 } else { clock::monotonic() };
    let mut table = TagTable::new(&state.config, not_before);
    for change in table.changes(&state.config, Clock::now()) {
        apply(gate, change);
    }
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
            for change in changes.by_ref().take(AT_ONCE) {
                apply(&gate, change);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Serves what comes through the ring buffer, for good.
pub async fn serve(state: Rc<State>, mut knocks: crate::xdp::Knocks) -> io::Result<()> {
    loop {
        knocks.ready(|knock| knock::act(&state, knock)).await?;
    }
}

fn apply(gate: &Gate, change: tags::Change) {
    let done = match gate {
        Gate::Kernel(kernel) => kernel.borrow_mut().change_tag(&change),
        Gate::Userspace(gate) => {
            gate.change_tag(change);
            Ok(())
        }
    };
    if let Err(error) = done {
        error!(
            "a tag is missing, and who knocks silently with it is not heard: {:#}",
            anyhow::Error::from(error)
        );
    }
}
