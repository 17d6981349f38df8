//! The gate for machines without XDP: the checks of the XDP program on a plain socket's datagrams.

use crate::{clock, config::Config, exchange::Exchanges};
use letmein_common::{
    ResourceId, UserId,
    bucket::Limit,
    gate::{self, Tables},
    hmac::{Auth, KeyedStates},
    maps::{PendingKey, PermitKey, SaltKey},
    reason::{Counters, Reason},
    source::{Address, Prefixes},
};
use lru::LruCache;
use std::{cell::RefCell, net::SocketAddr, num::NonZeroUsize};

/// As many networks as the XDP program keeps a bucket for.
const BUCKETS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// What the XDP program keeps in BPF maps.
pub struct UserspaceGate {
    limit: Limit,
    prefixes: Prefixes,
    answer_strangers: bool,
    buckets: RefCell<LruCache<Address, u64>>,
    salts: RefCell<LruCache<SaltKey, ()>>,
    counters: RefCell<Counters>,
}

impl UserspaceGate {
    /// An empty gate with the limits of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let settings = config.settings();
        let salts = NonZeroUsize::new(config.gate.seen_salts as usize).unwrap_or(NonZeroUsize::MIN);
        Self {
            limit: settings.limit,
            prefixes: settings.prefixes,
            answer_strangers: settings.answer_strangers != 0,
            buckets: RefCell::new(LruCache::new(BUCKETS)),
            salts: RefCell::new(LruCache::new(salts)),
            counters: RefCell::default(),
        }
    }

    /// Whether the daemon gets to see the datagram: what `XDP_PASS` says in the kernel.
    pub fn passes(
        &self,
        config: &Config,
        exchanges: &Exchanges,
        source: SocketAddr,
        datagram: &[u8],
    ) -> bool {
        let tables = View {
            gate: self,
            config,
            exchanges,
            address: source.ip().to_canonical().into(),
            port: source.port(),
        };
        match gate::check(&tables, datagram) {
            Ok(()) => {
                self.counters.borrow_mut().genuine += 1;
                true
            }
            Err(reason) => {
                self.count(reason);
                gate::hand_over(&tables, reason, self.answer_strangers)
            }
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.counters.borrow()
    }

    fn count(&self, reason: Reason) {
        self.counters.borrow_mut().refuse(reason);
    }
}

/// The gate's tables for one sender, with what belongs to others.
struct View<'a> {
    gate: &'a UserspaceGate,
    config: &'a Config,
    exchanges: &'a Exchanges,
    address: Address,
    port: u16,
}

impl Tables for View<'_> {
    fn key(&self, user: UserId) -> Option<&KeyedStates> {
        self.config.user(user).map(|user| &user.key)
    }

    fn permits(&self, key: &PermitKey) -> bool {
        self.config
            .user(key.user)
            .is_some_and(|user| user.permits(key.resource))
    }

    fn take_token(&self) -> bool {
        let mut buckets = self.gate.buckets.borrow_mut();
        let bucket = buckets.get_or_insert_mut(self.address.network(&self.gate.prefixes), || 0);
        let next = self.gate.limit.take(*bucket, clock::monotonic());
        if let Some(next) = next {
            *bucket = next;
        }
        next.is_some()
    }

    fn record_salt(&self, key: &SaltKey) -> bool {
        self.gate.salts.borrow_mut().put(*key, ()).is_none()
    }

    fn pending(&self, user: UserId, resource: ResourceId) -> Option<&Auth> {
        let exchange = PendingKey::new(&self.address, self.port, user, resource);
        self.exchanges.token(&exchange, clock::monotonic())
    }
}
