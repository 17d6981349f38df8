//! Doing what the gatekeeper asks for.

use super::judge::{Allowed, Forbidden, judge};
use crate::{
    clock,
    config::{Config, Resource, User},
    fair::Rate,
    leases::LeaseError,
    logging::refusals,
    requests::{Action, Challenge, Outcome},
    server::State,
    xdp::KernelGate,
};
use letmein_common::{UserId, maps::PendingKey};
use std::{cell::RefCell, net::IpAddr, rc::Rc};
use tracing::{error, warn};

/// How many responses may be expected for one request to open or close: knocks are repeated, and some never finished.
const EXPECTED_PER_OPEN: u32 = 4;

/// What it takes.
pub struct Doer {
    state: Rc<State>,
    /// `None` if the checks are the gatekeeper's.
    kernel: Option<Rc<RefCell<KernelGate>>>,
    /// Requests to open and close.
    opens: Rate,
    /// Requests to expect a response.
    expects: Rate,
}

impl Doer {
    /// Has done nothing yet.
    pub fn new(state: Rc<State>, kernel: Option<Rc<RefCell<KernelGate>>>) -> Self {
        let mut doer = Self {
            state,
            kernel,
            opens: Rate::new(0),
            expects: Rate::new(0),
        };
        doer.follow(&doer.state.config());
        doer
    }

    /// Does it, if it may be done. The log tells if it was not, but not each time.
    pub fn act(&mut self, action: &Action) -> Outcome {
        let config = self.state.config();
        self.follow(&config);
        let done = match self.attempt(&config, action) {
            Ok(done) => done,
            Err(forbidden) => {
                if let Some(untold) = refusals::count(forbidden.kind(), config.user(action.user())) {
                    warn!(
                        event = "request-refused",
                        "the gatekeeper was refused a request: {forbidden}{untold}"
                    );
                }
                false
            }
        };
        if done { Outcome::Done } else { Outcome::Refused }
    }

    /// Keeps to the limits of this configuration from now on.
    fn follow(&mut self, config: &Config) {
        let per_second = config.firewall.max_opens_per_second;
        self.opens.change(per_second);
        self.expects.change(per_second.saturating_mul(EXPECTED_PER_OPEN));
    }

    fn attempt(&mut self, config: &Config, action: &Action) -> Result<bool, Forbidden> {
        let now = clock::monotonic();
        let user = action.user();
        match judge(config, action, now)? {
            Allowed::Expect(exchange, challenge) => {
                spend(&mut self.expects, user, now)?;
                Ok(self.expect(config.user(user), exchange, challenge))
            }
            Allowed::Open(user, resource, address, lease) => {
                spend(&mut self.opens, user.id, now)?;
                let opened = self
                    .state
                    .leases
                    .borrow_mut()
                    .open(user, resource, address, lease);
                Ok(is_done(opened, user, resource, address))
            }
            Allowed::Close(user, resource, address) => {
                spend(&mut self.opens, user.id, now)?;
                let closed = self.state.leases.borrow_mut().close(user, resource, address);
                Ok(is_done(closed, user, resource, address))
            }
        }
    }

    /// Has the XDP program let a RESPONSE pass.
    fn expect(&self, user: Option<&User>, exchange: PendingKey, challenge: Challenge) -> bool {
        let Some(kernel) = &self.kernel else {
            return true;
        };
        let expected = kernel.borrow_mut().expect_response(&exchange, &challenge.into());
        if let Err(error) = expected {
            if let Some(untold) = refusals::count("the XDP program does not expect a response", user) {
                error!(
                    "the XDP program will not let the response pass: {:#}{untold}",
                    anyhow::Error::from(error)
                );
            }
            return false;
        }
        true
    }
}

fn spend(rate: &mut Rate, user: UserId, now: u64) -> Result<(), Forbidden> {
    rate.take(user, now).then_some(()).ok_or(Forbidden::Rate(user))
}

fn is_done(outcome: Result<(), LeaseError>, user: &User, resource: &Resource, address: IpAddr) -> bool {
    let Err(error) = outcome else {
        return true;
    };
    if let Some(untold) = refusals::count(error.kind(), Some(user)) {
        error!(
            event = "failed",
            user = user.name,
            resource = resource.name,
            address = %address,
            "{} proved a knock on {} for {address}, but: {:#}{untold}",
            user.name,
            resource.name,
            anyhow::Error::from(error)
        );
    }
    false
}
