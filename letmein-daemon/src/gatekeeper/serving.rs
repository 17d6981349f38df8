//! Serving knocks by one policy after the other.

use super::{delivery::Delivery, policy::Policy, ring::Knocks, warden::Warden};
use crate::{
    control::{limits::Connections, tcp, udp, unheard::Unheard},
    exchange::Exchanges,
    quota::{LOOK_EVERY, Told},
    silent::{self, tags::Unknown},
    userspace_gate::UserspaceGate,
};
use anyhow::Context as _;
use letmein_common::{reason::Counters, sample::Refused};
use std::{cell::RefCell, rc::Rc, time::Duration};
use tokio::{
    task::{AbortHandle, spawn_local},
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::error;

/// How long to wait when the ring buffer cannot be waited for.
const PAUSE: Duration = Duration::from_secs(1);

/// What all knocks share.
pub struct Gatekeeper {
    /// Who does what a knock is for.
    pub warden: Rc<Warden>,
    /// Exchanges over UDP that are pending.
    pub exchanges: RefCell<Exchanges>,
    /// Silent knocks that came by the socket.
    pub unheard: Unheard,
    /// Connections over TCP.
    pub connections: RefCell<Connections>,
    userspace: RefCell<Option<Rc<UserspaceGate>>>,
    /// What the userspace gate does not know of accepted silent knocks.
    unknown: Unknown,
    policy: RefCell<Rc<Policy>>,
    /// What ends when another policy comes.
    tasks: RefCell<Vec<AbortHandle>>,
}

impl Gatekeeper {
    /// Serves by what was delivered from now on, and no more by what came before. Exchanges that are pending go on,
    /// unless their user's key or permit has changed; so do connections.
    pub(super) fn apply(
        before: Option<Rc<Self>>,
        warden: &Rc<Warden>,
        delivery: Delivery,
    ) -> anyhow::Result<Rc<Self>> {
        let policy = Rc::new(delivery.policy.context("the warden has sent no policy")?);
        let gatekeeper = match before {
            Some(gatekeeper) => {
                gatekeeper.change(&policy);
                gatekeeper
            }
            None => Rc::new(Self::new(Rc::clone(warden), &policy)),
        };
        gatekeeper.serve(&policy, delivery.udp, delivery.tcp, delivery.knocks);
        Ok(gatekeeper)
    }

    fn new(warden: Rc<Warden>, policy: &Rc<Policy>) -> Self {
        let gate = &policy.gate;
        Self {
            warden,
            unheard: Unheard::default(),
            exchanges: RefCell::new(Exchanges::new(gate.pending_challenges as usize)),
            connections: RefCell::new(Connections::new(
                gate.max_connections,
                gate.max_connections_per_source,
                gate.prefixes,
            )),
            userspace: RefCell::new(gate.in_userspace.then(|| Rc::new(UserspaceGate::new(policy)))),
            unknown: Unknown::default(),
            policy: RefCell::new(Rc::clone(policy)),
            tasks: RefCell::default(),
        }
    }

    fn change(&self, policy: &Rc<Policy>) {
        for task in self.tasks.borrow_mut().drain(..) {
            task.abort();
        }
        let before = self.policy.replace(Rc::clone(policy));
        let gate = &policy.gate;
        self.exchanges
            .borrow_mut()
            .change(gate.pending_challenges as usize, |user, resource| {
                before.agrees_with(policy, user, resource)
            });
        self.connections.borrow_mut().change(
            gate.max_connections,
            gate.max_connections_per_source,
            gate.prefixes,
        );
        let mut userspace = self.userspace.borrow_mut();
        match userspace.as_ref().filter(|_| gate.in_userspace) {
            Some(kept) => kept.change(policy),
            None => *userspace = gate.in_userspace.then(|| Rc::new(UserspaceGate::new(policy))),
        }
    }

    fn serve(
        self: &Rc<Self>,
        policy: &Rc<Policy>,
        udp: Vec<tokio::net::UdpSocket>,
        tcp: Vec<tokio::net::TcpListener>,
        knocks: Option<Knocks>,
    ) {
        let mut tasks = self.tasks.borrow_mut();
        let mut spawn = |task: tokio::task::JoinHandle<()>| tasks.push(task.abort_handle());
        if let Some(gate) = self.userspace().filter(|_| policy.gate.silent) {
            // What an earlier process has accepted is not known; what this one has, is.
            if self.unknown.get().is_none() {
                self.unknown.doubt(gate.began());
            }
            let unknown = self.unknown.clone();
            let mut change = move |change: &_| {
                gate.change_tag(change);
                Ok(())
            };
            let table = silent::begin(&**policy, unknown, &mut change);
            spawn(spawn_local(silent::renew(
                Rc::clone(policy),
                table,
                // Whoever knocks is judged by the same clock.
                async |_| (),
                change,
            )));
        }
        if let Some(gate) = self.userspace() {
            spawn(spawn_local(tell_quotas(gate, Rc::clone(policy))));
        }
        if let Some(knocks) = knocks {
            spawn(spawn_local(take_knocks(Rc::clone(self), knocks)));
        }
        for socket in udp {
            spawn(spawn_local(udp::Server::new(socket, Rc::clone(self)).serve()));
        }
        for listener in tcp {
            spawn(spawn_local(tcp::serve(listener, Rc::clone(self))));
        }
    }

    /// What is valid now.
    #[must_use]
    pub fn policy(&self) -> Rc<Policy> {
        Rc::clone(&self.policy.borrow())
    }

    /// The checks that no XDP program makes, if it is so.
    #[must_use]
    pub fn userspace(&self) -> Option<Rc<UserspaceGate>> {
        self.userspace.borrow().clone()
    }

    /// What was counted here: nothing where the XDP program counts.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.userspace()
            .map_or_else(Counters::default, |gate| gate.counters())
    }

    /// Some of what was refused here since this was called last.
    #[must_use]
    pub fn refused(&self) -> Vec<Refused> {
        self.userspace().map_or_else(Vec::new, |gate| gate.next_round())
    }
}

/// Tells once in a while of users whose genuine knocks are refused because they are too many.
async fn tell_quotas(gate: Rc<UserspaceGate>, policy: Rc<Policy>) {
    let mut clock = interval(LOOK_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::default();
    loop {
        clock.tick().await;
        let refused = gate.over_quota();
        let named = refused.iter().filter_map(|(id, refused)| {
            let user = policy.user(*id)?;
            Some((*id, user.name.as_str(), *refused))
        });
        told.tell(named);
    }
}

async fn take_knocks(gatekeeper: Rc<Gatekeeper>, mut knocks: Knocks) {
    loop {
        let act = async |knock: &_| silent::knock::act(&gatekeeper, knock).await;
        if let Err(error) = knocks.ready(act).await {
            error!("cannot read the silent knocks: {error}");
            sleep(PAUSE).await;
        }
    }
}
