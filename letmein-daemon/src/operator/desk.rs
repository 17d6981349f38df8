//! What operators are told from, and what they act upon: everything of the daemon that this module needs.

use super::{history::History, protocol::Answer, sources::Sources};
use crate::server::State;
use letmein_common::{reason::Counters, sample::Refused};
use std::{cell::RefCell, rc::Rc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

/// How often the counters are looked at.
const TICK: Duration = Duration::from_secs(1);

/// What is to be known of the packet path, wherever that is.
pub struct Probe {
    /// The kernel's number of the XDP program; `None` with `xdp = "off"`.
    pub program: Option<u32>,
    /// What was counted so far.
    pub counters: Box<dyn Fn() -> anyhow::Result<Counters>>,
    /// Some of the packets that were refused since this was called last.
    pub refused: RefCell<Box<dyn FnMut() -> anyhow::Result<Vec<Refused>>>>,
}

/// What the commands share.
pub struct Desk {
    /// Configuration and leases.
    pub(super) state: Rc<State>,
    pub(super) probe: Probe,
    pub(super) started: Instant,
    pub(super) history: RefCell<History>,
    pub(super) sources: RefCell<Sources>,
}

impl Desk {
    /// A desk of a gate that has just begun to serve. Needs a runtime.
    #[must_use]
    pub fn new(state: Rc<State>, probe: Probe) -> Self {
        Self {
            state,
            probe,
            started: Instant::now(),
            history: RefCell::default(),
            sources: RefCell::default(),
        }
    }

    /// Looks at the counters each second, for good.
    pub async fn watch(self: Rc<Self>) {
        let mut clock = interval(TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = false;
        loop {
            clock.tick().await;
            match self.look() {
                Err(error) if !told => {
                    warn!("what was refused cannot be read: {error:#}");
                    told = true;
                }
                _ => {}
            }
        }
    }

    fn look(&self) -> anyhow::Result<()> {
        let counters = (self.probe.counters)()?;
        let mut history = self.history.borrow_mut();
        history.note(Instant::now(), counters);
        let told = self.probe.refused.borrow_mut()()?;
        self.sources.borrow_mut().note(&told, history.refused_lately());
        Ok(())
    }
}

/// What an operator is told about a request that failed.
pub(super) fn refusal(error: &anyhow::Error) -> Answer {
    Answer::Refused {
        error: format!("{error:#}"),
    }
}
