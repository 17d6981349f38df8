//! Telling of users whose genuine knocks are refused because they are too many.

use crate::{
    quota::{LOOK_EVERY, Told},
    server::State,
    xdp::KernelGate,
};
use letmein_common::reason::Reason;
use std::{cell::RefCell, rc::Rc};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// Tells once in a while, however many there are.
pub async fn tell(state: Rc<State>, kernel: Rc<RefCell<KernelGate>>) {
    let mut clock = interval(LOOK_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut told, mut counted) = (Told::default(), None);
    loop {
        clock.tick().await;
        let kernel = kernel.borrow();
        let refused = kernel.counters().and_then(|counters| {
            let now = Some(counters.of(Reason::Quota));
            // Looking at all users takes its time.
            if std::mem::replace(&mut counted, now) == now {
                return Ok(Vec::new());
            }
            kernel.over_quota()
        });
        match refused {
            Ok(refused) => {
                let config = state.config();
                let named = refused.iter().filter_map(|(id, refused)| {
                    let user = config.user(*id)?;
                    Some((*id, user.name.as_str(), *refused))
                });
                told.tell(named);
            }
            Err(error) => warn!(
                "whose knocks were refused cannot be told: {:#}",
                anyhow::Error::from(error)
            ),
        }
    }
}
