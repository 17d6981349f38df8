//! Silent knocks: which tags are taken at which time ([`tags`]), what a knock does that proved a key
//! ([`knock`]), and whether it was for this machine (`martian`).

pub mod knock;
mod martian;
pub mod tags;

use crate::xdp::XdpError;
use std::{rc::Rc, time::Duration};
use tags::{Change, Clock, Keyring, TagTable, Unknown};
use tokio::time::{MissedTickBehavior, interval};
use tracing::error;

/// How often the clocks are looked at: a step is noticed this late, a new epoch begins without waiting for it.
const GLANCE: Duration = Duration::from_secs(1);

/// Fills the gate's table of tags for the first time, by `change`.
///
/// Where it is `unknown` what was accepted, silent knocks are taken later: see [`TagTable::new`].
pub fn begin(
    keys: &impl Keyring,
    unknown: Unknown,
    change: &mut impl FnMut(&Change) -> Result<(), XdpError>,
) -> TagTable {
    let mut table = TagTable::new(keys, unknown);
    apply(change, table.changes(keys, Clock::now()));
    table
}

/// Keeps the table true for good. What time it is made for is told first.
pub async fn renew(
    keys: Rc<impl Keyring>,
    mut table: TagTable,
    tell_time: impl AsyncFn(Clock),
    mut change: impl FnMut(&Change) -> Result<(), XdpError>,
) {
    /// Changes at a time, between which knocks are served.
    const AT_ONCE: usize = 256;
    let mut clock = interval(GLANCE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let now = Clock::now();
        tell_time(now).await;
        let mut changes = table.changes(&*keys, now).peekable();
        while changes.peek().is_some() {
            apply(&mut change, changes.by_ref().take(AT_ONCE));
            tokio::task::yield_now().await;
        }
    }
}

/// Changes the gate's table. What fails is told at once, not once for each of perhaps thousands.
fn apply(change: &mut impl FnMut(&Change) -> Result<(), XdpError>, changes: impl Iterator<Item = Change>) {
    let failures = changes.filter_map(|due| change(&due).err());
    if let Some((cause, missing)) = failures.fold(None, |all, error| {
        let missing = all.map_or(0_usize, |(_, missing)| missing);
        Some((error, missing + 1))
    }) {
        error!(
            "{missing} tags are missing, and who knocks silently with them is not heard: {:#}",
            anyhow::Error::from(cause)
        );
    }
}
