//! What operators are told from, and what they act upon: everything of the daemon that this module needs.

use super::{
    history::History,
    protocol::{Answer, LONGEST_ANSWER},
    reload::Asked,
    sources::Sources,
};
use crate::{
    server::State,
    warden::Gatekeeper,
    xdp::{KernelGate, XdpError},
};
use letmein_common::{reason::Counters, sample::Refused};
use std::{cell::RefCell, rc::Rc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::warn;

/// How often the counters are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long the gatekeeper may take for an answer.
const MOMENT: Duration = Duration::from_secs(2);

/// Where the packet path is, and what is to be known of it.
pub enum Probe {
    /// In the kernel.
    Kernel(Rc<RefCell<KernelGate>>, Rc<Gatekeeper>),
    /// In the other process, with `xdp = "off"`.
    Gatekeeper(Rc<Gatekeeper>),
}

impl Probe {
    /// The kernel's numbers of the XDP programs, if there are any.
    pub(super) fn programs(&self) -> Result<Option<Vec<u32>>, XdpError> {
        match self {
            Self::Kernel(gate, _) => gate.borrow().program_ids().map(Some),
            Self::Gatekeeper(_) => Ok(None),
        }
    }

    /// What was counted so far.
    pub(super) async fn counters(&self) -> anyhow::Result<Counters> {
        match self {
            // What is found out later is counted by the other process.
            Self::Kernel(gate, gatekeeper) => {
                let later = timeout(MOMENT, gatekeeper.counters()).await??;
                let mut counters = gate.borrow().counters()?;
                counters.add(&later);
                Ok(counters)
            }
            Self::Gatekeeper(gatekeeper) => timeout(MOMENT, gatekeeper.counters()).await?,
        }
    }

    /// Some of the packets that were refused since this was called last.
    async fn refused(&self) -> anyhow::Result<Vec<Refused>> {
        match self {
            Self::Kernel(gate, _) => Ok(gate.borrow_mut().refused()?),
            Self::Gatekeeper(gatekeeper) => timeout(MOMENT, gatekeeper.refused()).await?,
        }
    }
}

/// What the commands share.
pub struct Desk {
    /// Configuration and leases.
    pub(super) state: Rc<State>,
    pub(super) probe: Probe,
    /// Where a reload is asked for.
    pub(super) reloads: mpsc::Sender<Asked>,
    pub(super) started: Instant,
    pub(super) history: RefCell<History>,
    pub(super) sources: RefCell<Sources>,
}

impl Desk {
    /// A desk of a gate that has just begun to serve. Needs a runtime.
    #[must_use]
    pub fn new(state: Rc<State>, probe: Probe, reloads: mpsc::Sender<Asked>) -> Self {
        Self {
            state,
            probe,
            reloads,
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
            match self.look().await {
                Err(error) if !told => {
                    warn!("what was refused cannot be read: {error:#}");
                    told = true;
                }
                _ => {}
            }
        }
    }

    async fn look(&self) -> anyhow::Result<()> {
        let counters = self.probe.counters().await?;
        let told = self.probe.refused().await?;
        let mut history = self.history.borrow_mut();
        history.note(Instant::now(), counters);
        self.sources.borrow_mut().note(&told, history.refused_lately());
        Ok(())
    }
}

/// What an operator is told about a request that failed. A configuration can be wrong in very many places.
pub(super) fn refusal(error: &anyhow::Error) -> Answer {
    const LONGEST: usize = LONGEST_ANSWER / 16;
    let mut error = format!("{error:#}");
    if error.len() > LONGEST {
        error.truncate(error.floor_char_boundary(LONGEST));
        error += "\n(and more of that)";
    }
    Answer::Refused { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_much_is_wrong_it_fits_into_an_answer() {
        let refused = refusal(&anyhow::Error::msg("\u{1}ö\n".repeat(LONGEST_ANSWER)));
        let line = serde_json::to_vec(&refused).unwrap();
        assert!(line.len() < LONGEST_ANSWER, "{}", line.len());
        assert!(line.ends_with(b"(and more of that)\"}"));
    }
}
