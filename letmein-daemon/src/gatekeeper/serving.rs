//! Serving knocks by one policy after the other.

use super::{
    delivery::Delivery,
    policy::Policy,
    ring::Knocks,
    warden::{self, Warden},
};
use crate::{
    clock,
    config::User,
    control::{limits::Connections, tcp, udp, unheard::Unheard},
    exchange::Exchanges,
    fair::{Place, Rate, Table},
    logging::refusals,
    netlink::Routes,
    quota::{LOOK_EVERY, Told},
    silent::{self, tags::Unknown},
    userspace_gate::UserspaceGate,
};
use anyhow::Context as _;
use letmein_common::{
    UserId,
    maps::SaltKey,
    reason::{Counters, Reason},
    sample::Refused,
    wire::challenge::Message,
};
use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    time::Duration,
};
use tokio::{
    task::{AbortHandle, coop::consume_budget, spawn_local},
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::{error, warn};

/// How long to wait when the ring buffer cannot be waited for.
const PAUSE: Duration = Duration::from_secs(1);

/// How many knocks are begun for one that is acted upon: some are repeated, and some never finished.
const KNOCKS_PER_OPEN: u32 = 4;
/// How many first messages are remembered.
const SALTS: usize = 16_384;

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
    /// How often users knock.
    knocks: RefCell<Rate>,
    /// First messages that have come this far. The XDP program has a longer record, but sees neither TCP nor all
    /// interfaces.
    salts: RefCell<Table<UserId, SaltKey, ()>>,
    userspace: RefCell<Option<Rc<UserspaceGate>>>,
    /// What the userspace gate does not know of accepted silent knocks.
    unknown: Unknown,
    policy: RefCell<Rc<Policy>>,
    /// What ends when another policy comes.
    tasks: RefCell<Vec<AbortHandle>>,
    /// Whom to ask whose an address is.
    pub routes: Rc<Routes>,
    /// Genuine silent knocks that were refused for their addresses.
    martians: Cell<u64>,
}

impl Gatekeeper {
    /// Serves by what was delivered from now on, and no more by what came before. Exchanges that are pending go on,
    /// unless their user's key or permit has changed; so do connections.
    pub(super) fn apply(
        before: Option<Rc<Self>>,
        warden: &Rc<Warden>,
        routes: &Rc<Routes>,
        delivery: Delivery,
    ) -> anyhow::Result<Rc<Self>> {
        let policy = Rc::new(delivery.policy.context("the warden has sent no policy")?);
        let gatekeeper = match before {
            Some(gatekeeper) => {
                gatekeeper.change(&policy);
                gatekeeper
            }
            None => Rc::new(Self::new(Rc::clone(warden), Rc::clone(routes), &policy)),
        };
        gatekeeper.serve(&policy, delivery.udp, delivery.tcp, delivery.knocks);
        Ok(gatekeeper)
    }

    fn new(warden: Rc<Warden>, routes: Rc<Routes>, policy: &Rc<Policy>) -> Self {
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
            knocks: RefCell::new(Rate::new(knocks_per_second(policy))),
            salts: RefCell::new(Table::new(SALTS)),
            userspace: RefCell::new(gate.in_userspace.then(|| Rc::new(UserspaceGate::new(policy)))),
            unknown: Unknown::default(),
            policy: RefCell::new(Rc::clone(policy)),
            tasks: RefCell::default(),
            routes,
            martians: Cell::default(),
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
        self.knocks.borrow_mut().change(knocks_per_second(policy));
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

    /// Whether this first message was not seen before. It is from now on.
    #[must_use]
    pub fn is_fresh(&self, message: &Message) -> bool {
        let mut salts = self.salts.borrow_mut();
        let key = SaltKey::new(message.user, message.salt);
        let is_fresh = salts.get(&key).is_none();
        if is_fresh {
            salts.insert(message.user, key, ());
            let _forgotten = salts.shed();
        }
        is_fresh
    }

    /// Whether one more knock of this user, who has proved the key, is taken now.
    #[must_use]
    pub fn charge(&self, user: &User, from: IpAddr) -> bool {
        let is_taken = self.knocks.borrow_mut().take(user.id, clock::monotonic());
        if !is_taken && let Some(untold) = refusals::count("the user knocks too often", Some(user)) {
            warn!(
                event = "refused",
                user = user.name,
                address = %from,
                "{} knocks more often than firewall.max-opens-per-second allows one user (from {from}){untold}",
                user.name
            );
        }
        is_taken
    }

    /// A place among those who wait for the warden, for a request of this user.
    pub fn enter(&self, user: &User, from: IpAddr) -> Result<Place, warden::Refused> {
        let place = self.warden.enter(user.id);
        if place.is_err()
            && let Some(untold) = refusals::count("too many of the user's knocks are waiting", Some(user))
        {
            warn!(
                event = "refused",
                user = user.name,
                address = %from,
                "{} has too many knocks waiting (from {from}){untold}",
                user.name
            );
        }
        place
    }

    /// The checks that no XDP program makes, if it is so.
    #[must_use]
    pub fn userspace(&self) -> Option<Rc<UserspaceGate>> {
        self.userspace.borrow().clone()
    }

    /// What was counted here: little where the XDP program counts.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let userspace = self.userspace();
        let mut counters = userspace.map_or_else(Counters::default, |gate| gate.counters());
        let martians = &mut counters.refused[Reason::Martian as usize];
        *martians = martians.wrapping_add(self.martians.get());
        counters
    }

    /// Counts a genuine silent knock that is refused for its addresses.
    pub fn count_martian(&self) {
        self.martians.set(self.martians.get().wrapping_add(1));
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

fn knocks_per_second(policy: &Policy) -> u32 {
    policy.gate.max_opens_per_second.saturating_mul(KNOCKS_PER_OPEN)
}

async fn take_knocks(gatekeeper: Rc<Gatekeeper>, mut knocks: Knocks) {
    loop {
        let act = async |knock: &_| {
            silent::knock::act(&gatekeeper, knock);
            // However many there are, others are served meanwhile.
            consume_budget().await;
        };
        if let Err(error) = knocks.ready(act).await {
            error!("cannot read the silent knocks: {error}");
            sleep(PAUSE).await;
        }
    }
}
