//! The gate for machines without XDP: the checks of the XDP program on a plain socket's datagrams.

mod nonces;

use crate::{
    clock, config::ErrorPolicy, exchange::Exchanges, gatekeeper::policy::Policy, silent::tags::Change,
};
use letmein_common::{
    ResourceId, UserId,
    account::{Account, Purse},
    bucket::Limit,
    gate::{self, Budgets, Spender, Tables},
    hmac::{Auth, KeyedStates},
    maps::{NonceKey, PendingKey, PermitKey, SaltKey, SilentKnock, Tag},
    reason::{Counters, Reason},
    sample::{Refused, Sampling},
    source::Address,
    wire::silent,
};
use lru::LruCache;
use nonces::Nonces;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::SocketAddr,
    num::NonZeroUsize,
};

/// As many networks as the XDP program keeps a bucket for.
const BUCKETS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
/// In place of the control port, whose number is not known here.
const CONTROL_PORT: u32 = 0;

/// How many salts are remembered.
fn salts(policy: &Policy) -> NonZeroUsize {
    NonZeroUsize::new(policy.gate.seen_salts as usize).unwrap_or(NonZeroUsize::MIN)
}

/// How many challenges there may be.
fn challenges(policy: &Policy) -> NonZeroUsize {
    NonZeroUsize::new(policy.gate.pending_challenges as usize).unwrap_or(NonZeroUsize::MIN)
}

/// What becomes of a datagram.
pub enum Verdict {
    /// It is for the protocol: what `XDP_PASS` says in the kernel.
    Pass,
    /// It ends here.
    Drop,
    /// A genuine silent knock: what goes through the ring buffer in the kernel.
    Silent(SilentKnock),
}

/// What the XDP program keeps in BPF maps.
pub struct UserspaceGate {
    /// When it began to remember, in nanoseconds of `CLOCK_MONOTONIC`.
    began: u64,
    buckets: RefCell<LruCache<Address, u64>>,
    /// One thread makes the checks: it is the only CPU.
    budgets: RefCell<Budgets>,
    /// Only of users that there are.
    accounts: RefCell<HashMap<UserId, Account>>,
    salts: RefCell<LruCache<SaltKey, ()>>,
    /// Of each challenge, by its token: the token buckets of tries and of answers.
    answers: RefCell<LruCache<Auth, [u64; 2]>>,
    tags: RefCell<HashMap<u64, Tag>>,
    nonces: RefCell<Nonces>,
    counters: RefCell<Counters>,
    /// What operators will be told of, as one CPU does.
    told: RefCell<(Sampling, Vec<Refused>)>,
    round: Cell<u32>,
}

impl UserspaceGate {
    /// An empty gate with the limits of `policy`.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            began: clock::monotonic(),
            buckets: RefCell::new(LruCache::new(BUCKETS)),
            budgets: RefCell::default(),
            accounts: RefCell::default(),
            salts: RefCell::new(LruCache::new(salts(policy))),
            answers: RefCell::new(LruCache::new(challenges(policy))),
            tags: RefCell::default(),
            nonces: RefCell::new(Nonces::new(policy.quota().nonces)),
            counters: RefCell::default(),
            told: RefCell::default(),
            round: Cell::default(),
        }
    }

    /// Goes on by another policy. What was accepted before is remembered; there are no tags until new ones are set.
    pub fn change(&self, policy: &Policy) {
        self.accounts
            .borrow_mut()
            .retain(|user, _| policy.user(*user).is_some());
        self.salts.borrow_mut().resize(salts(policy));
        self.answers.borrow_mut().resize(challenges(policy));
        self.nonces.borrow_mut().change(policy.quota().nonces);
        self.tags.borrow_mut().clear();
    }

    /// Since when accepted knocks are remembered, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub const fn began(&self) -> u64 {
        self.began
    }

    /// Judges a datagram, as the XDP program would.
    pub fn judge(
        &self,
        policy: &Policy,
        exchanges: &Exchanges,
        source: SocketAddr,
        datagram: &[u8],
    ) -> Verdict {
        let tags = self.tags.borrow();
        let (budget, drained) = gate::budgets(policy.gate.budget);
        let tables = View {
            gate: self,
            budget,
            drained,
            tags: &tags,
            policy,
            exchanges,
            address: source.ip().to_canonical().into(),
            port: source.port(),
        };
        if tables.address.is_martian() {
            self.count(&tables, Err(Reason::Martian));
            return Verdict::Drop;
        }
        let is_silent = datagram.len() == silent::LEN;
        let answer_strangers = policy.gate.error_policy == ErrorPolicy::Always;
        if policy.gate.udp && !(policy.gate.silent && is_silent) {
            let outcome = gate::check_challenge(&tables, datagram);
            self.count(&tables, outcome);
            return match outcome {
                Ok(()) => Verdict::Pass,
                Err(reason) if gate::hand_over(&tables, reason, answer_strangers) => Verdict::Pass,
                Err(_) => Verdict::Drop,
            };
        }
        let Some(message) = datagram.first_chunk().filter(|_| policy.gate.silent && is_silent) else {
            self.count(&tables, Err(Reason::Length));
            return Verdict::Drop;
        };
        let outcome = gate::check_silent(&tables, message);
        self.count(&tables, outcome.map(drop));
        // No error policy answers a silent knock.
        outcome.map_or(Verdict::Drop, |(user, resource)| {
            Verdict::Silent(SilentKnock {
                source: tables.address,
                user,
                resource,
                message: *message,
                destination: Address::v6([0; 16]),
            })
        })
    }

    /// Changes the table of tags.
    pub fn change_tag(&self, change: &Change) {
        let mut tags = self.tags.borrow_mut();
        match change {
            Change::Set(tag, entry) => tags.insert(*tag, entry.clone()),
            Change::Remove(tag) => tags.remove(tag),
        };
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.counters.borrow()
    }

    /// How many genuine knocks of each user were refused because they were too many.
    #[must_use]
    pub fn over_quota(&self) -> Vec<(UserId, u64)> {
        let accounts = self.accounts.borrow();
        let refused = accounts.iter().map(|(user, account)| (*user, account.refused()));
        refused.filter(|(_, refused)| *refused > 0).collect()
    }

    /// A few of the refused packets since this was called last. From now on it tells of new ones.
    pub fn next_round(&self) -> Vec<Refused> {
        self.round.set(self.round.get().wrapping_add(1).max(1));
        std::mem::take(&mut self.told.borrow_mut().1)
    }

    fn count(&self, tables: &View<'_>, outcome: Result<(), Reason>) {
        let mut counters = self.counters.borrow_mut();
        match outcome {
            Ok(()) => counters.genuine += 1,
            Err(reason) => {
                counters.refuse(reason);
                let (sampling, told) = &mut *self.told.borrow_mut();
                if sampling.take(self.round.get()) {
                    told.push(Refused::new(tables.address, CONTROL_PORT, reason));
                }
            }
        }
    }
}

/// The gate's tables for one sender, with what belongs to others.
struct View<'a> {
    gate: &'a UserspaceGate,
    budget: Limit,
    drained: Limit,
    tags: &'a HashMap<u64, Tag>,
    policy: &'a Policy,
    exchanges: &'a Exchanges,
    address: Address,
    port: u16,
}

impl View<'_> {
    /// What one CPU spends on their account.
    const fn limit(&self, spender: Spender) -> Limit {
        if spender.is_drained() {
            self.drained
        } else {
            self.budget
        }
    }

    /// What is remembered about a user.
    fn with_account<T>(&self, user: UserId, change: impl FnOnce(&mut Account) -> T) -> Option<T> {
        self.policy.user(user)?;
        Some(change(self.gate.accounts.borrow_mut().entry(user).or_default()))
    }

    fn challenge(&self, user: UserId, resource: ResourceId) -> Option<&Auth> {
        let exchange = PendingKey::new(&self.address, self.port, user, resource);
        self.exchanges.token(&exchange, clock::monotonic())
    }

    /// Takes a token from one of the two buckets of the challenge with this token.
    fn take_answer(&self, challenge: &Auth, bucket: usize) -> bool {
        let mut answers = self.gate.answers.borrow_mut();
        let bucket = &mut answers.get_or_insert_mut(*challenge, || [0; 2])[bucket];
        take(&gate::ANSWERS, bucket)
    }
}

/// Takes a token from a bucket now.
fn take(limit: &Limit, bucket: &mut u64) -> bool {
    let next = limit.take(*bucket, clock::monotonic());
    if let Some(next) = next {
        *bucket = next;
    }
    next.is_some()
}

impl Tables for View<'_> {
    fn key(&self, user: UserId) -> Option<&KeyedStates> {
        self.policy.user(user).map(|user| &user.key)
    }

    fn permits(&self, key: &PermitKey) -> bool {
        self.policy
            .user(key.user)
            .is_some_and(|user| user.permits(key.resource))
    }

    fn take_token(&self) -> bool {
        let mut buckets = self.gate.buckets.borrow_mut();
        let bucket = buckets.get_or_insert_mut(self.address.network(&self.policy.gate.prefixes), || 0);
        take(&self.policy.gate.limit, bucket)
    }

    fn has_budget(&self, spender: Spender) -> bool {
        let arrival = self.gate.budgets.borrow()[spender as usize];
        self.limit(spender).take(arrival, clock::monotonic()).is_some()
    }

    fn take_budget(&self, spender: Spender) -> bool {
        let limit = self.limit(spender);
        take(&limit, &mut self.gate.budgets.borrow_mut()[spender as usize])
    }

    fn take_from(&self, user: UserId, purse: Purse) -> bool {
        let limit = self.policy.quota().limit;
        let taken = self.with_account(user, |account| account.take(purse, &limit, clock::monotonic()));
        taken.unwrap_or(false)
    }

    fn is_acquainted(&self, user: UserId) -> bool {
        let network = self.address.network(&self.policy.gate.prefixes);
        let knows = self.with_account(user, |account| account.knows(&network));
        knows.unwrap_or(false)
    }

    fn acquaint(&self, user: UserId) {
        let network = self.address.network(&self.policy.gate.prefixes);
        self.with_account(user, |account| account.remember(&network));
    }

    fn salt_seen(&self, key: &SaltKey) -> bool {
        self.gate.salts.borrow().contains(key)
    }

    fn record_salt(&self, key: &SaltKey) -> bool {
        self.gate.salts.borrow_mut().put(*key, ()).is_none()
    }

    fn pending(&self, user: UserId, resource: ResourceId) -> Option<(&Auth, bool)> {
        let token = self.challenge(user, resource)?;
        Some((token, self.take_answer(token, 0)))
    }

    fn answered(&self, user: UserId, resource: ResourceId) -> bool {
        let token = self.challenge(user, resource);
        token.is_some_and(|token| self.take_answer(token, 1))
    }

    fn tag(&self, tag: u64) -> Option<&Tag> {
        self.tags.get(&tag).filter(|tag| tag.is_taken(clock::monotonic()))
    }

    fn silent_key(&self, user: UserId) -> Option<&KeyedStates> {
        Some(&self.policy.user(user)?.silent.as_ref()?.mac)
    }

    fn nonce_seen(&self, key: &NonceKey) -> bool {
        self.gate.nonces.borrow().contains(key)
    }

    fn record_nonce(&self, key: &NonceKey) -> bool {
        self.gate.nonces.borrow_mut().record(key, clock::monotonic())
    }
}
