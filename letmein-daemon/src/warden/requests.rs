//! Doing what the gatekeeper asks for.

use super::judge::{Allowed, Budget, Forbidden, judge};
use crate::{
    clock,
    requests::{Action, Outcome},
    server::State,
    xdp::KernelGate,
};
use std::{cell::RefCell, rc::Rc};
use tracing::{error, warn};

/// What it takes.
pub struct Doer {
    state: Rc<State>,
    /// `None` if the checks are the gatekeeper's.
    kernel: Option<Rc<RefCell<KernelGate>>>,
    per_second: u32,
    budget: Budget,
}

impl Doer {
    /// Has done nothing yet.
    pub fn new(state: Rc<State>, kernel: Option<Rc<RefCell<KernelGate>>>) -> Self {
        let per_second = state.config().firewall.max_opens_per_second;
        Self {
            state,
            kernel,
            per_second,
            budget: Budget::new(per_second),
        }
    }

    /// Does it, if it may be done. The log tells if it was not.
    pub fn act(&mut self, action: &Action) -> Outcome {
        match self.attempt(action) {
            Ok(outcome) => outcome,
            Err(forbidden) => {
                warn!(
                    event = "request-refused",
                    "the gatekeeper was refused a request: {forbidden}"
                );
                Outcome::Refused
            }
        }
    }

    fn attempt(&mut self, action: &Action) -> Result<Outcome, Forbidden> {
        let now = clock::monotonic();
        let config = self.state.config();
        if config.firewall.max_opens_per_second != self.per_second {
            self.per_second = config.firewall.max_opens_per_second;
            self.budget = Budget::new(self.per_second);
        }
        let allowed = judge(&config, action, now)?;
        if !matches!(allowed, Allowed::Expect(..)) {
            self.budget.spend(now)?;
        }
        let mut leases = self.state.leases.borrow_mut();
        let (user, resource, address, outcome) = match allowed {
            Allowed::Open(user, resource, address, lease) => (
                user,
                resource,
                address,
                leases.open(user, resource, address, lease),
            ),
            Allowed::Close(user, resource, address) => {
                (user, resource, address, leases.close(user, resource, address))
            }
            Allowed::Expect(exchange, challenge) => {
                let Some(kernel) = &self.kernel else {
                    return Ok(Outcome::Done);
                };
                let expected = kernel.borrow_mut().expect_response(&exchange, &challenge.into());
                return Ok(done(expected.map_err(|error| {
                    error!(
                        "the XDP program will not let the response pass: {:#}",
                        anyhow::Error::from(error)
                    );
                })));
            }
        };
        Ok(done(outcome.map_err(|error| {
            error!(
                event = "failed",
                user = user.name,
                resource = resource.name,
                address = %address,
                "{} proved a knock on {} for {address}, but: {:#}",
                user.name,
                resource.name,
                anyhow::Error::from(error)
            );
        })))
    }
}

const fn done(outcome: Result<(), ()>) -> Outcome {
    match outcome {
        Ok(()) => Outcome::Done,
        Err(()) => Outcome::Refused,
    }
}
