//! What userspace remembers: the gate without XDP, and the shield's tables as hash maps.

use super::expected::Outcome;
use letmein_common::{
    maps::{Pending, PendingKey},
    shield::{self, LeaseKey, PortRule, Segment, Tables, Transport, rule_index},
    source::Address,
    wire::challenge::Operation,
};
use letmein_daemon::{
    clock, config::Config, exchange::Exchanges, firewall, gatekeeper::policy::Policy,
    userspace_gate::UserspaceGate,
};
use std::{collections::HashMap, net::IpAddr, rc::Rc};

pub struct Userspace {
    pub policy: Rc<Policy>,
    pub gate: UserspaceGate,
    pub exchanges: Exchanges,
    rules: HashMap<u32, PortRule>,
    leases: HashMap<LeaseKey, u64>,
}

impl Userspace {
    /// Nothing is remembered yet.
    pub fn new(config: &Config, policy: &Rc<Policy>) -> Self {
        Self {
            policy: Rc::clone(policy),
            gate: UserspaceGate::new(policy),
            exchanges: Exchanges::new(config.gate.pending_challenges as usize),
            rules: config
                .port_rules()
                .into_iter()
                .map(|(protocol, port, rule)| (rule_index(protocol.into(), port), rule))
                .collect(),
            leases: HashMap::new(),
        }
    }

    /// Begins an exchange, and tells what is pending then: it may be an earlier challenge.
    pub fn challenge(&mut self, exchange: PendingKey, operation: Operation, pending: Pending) -> Pending {
        let now = clock::monotonic();
        self.exchanges.begin(exchange, operation, pending, now)
    }

    pub fn admit(&mut self, lease: &firewall::LeaseKey, end: u64) {
        if let Some(key) = self.key(lease) {
            self.leases.insert(key, end);
        }
    }

    pub fn shut_out(&mut self, lease: &firewall::LeaseKey) {
        if let Some(key) = self.key(lease) {
            self.leases.remove(&key);
        }
    }

    fn key(&self, lease: &firewall::LeaseKey) -> Option<LeaseKey> {
        let (protocol, port) = lease.port()?;
        let transport = protocol.into();
        let rule = self.rules.get(&rule_index(transport, port))?;
        Some(LeaseKey::new(&lease.address.into(), transport, rule))
    }

    /// What the shield does with a segment for this port.
    pub fn shield(&self, source: IpAddr, segment: Segment, port: u16) -> Outcome {
        let view = View {
            userspace: self,
            source: source.into(),
        };
        shield::check(&view, segment, port).map_or_else(Outcome::Refused, |()| Outcome::Passed)
    }
}

struct View<'a> {
    userspace: &'a Userspace,
    source: Address,
}

impl Tables for View<'_> {
    fn rule(&self, index: u32) -> PortRule {
        self.userspace.rules.get(&index).copied().unwrap_or_default()
    }

    fn lease_end(&self, transport: Transport, rule: &PortRule) -> Option<u64> {
        let key = LeaseKey::new(&self.source, transport, rule);
        self.userspace.leases.get(&key).copied()
    }

    fn now(&self) -> u64 {
        clock::monotonic()
    }
}
