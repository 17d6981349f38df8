//! The shield's maps: which ports it is about, and a copy of the leases.

use super::{error::XdpError, kernel_gate::remove, programs::take};
use crate::firewall::{LeaseKey, Protocol};
use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
};
use letmein_common::{
    shield::{self, PortRule, Transport, rule_index},
    source::Address,
};
use std::collections;

/// What the shield is loaded with.
pub struct ShieldPlan {
    /// What it does about which ports; nothing about all others.
    pub rules: Vec<(Protocol, u16, PortRule)>,
    /// The most leases that may live at one time.
    pub leases: u32,
}

/// The copy of the leases that the XDP program looks into.
pub struct Shield {
    rules: collections::HashMap<(Protocol, u16), PortRule>,
    leases: HashMap<MapData, shield::LeaseKey, u64>,
}

impl Shield {
    /// Writes the rules. There are no leases yet.
    pub(super) fn new(ebpf: &mut Ebpf, plan: &ShieldPlan) -> Result<Self, XdpError> {
        let mut rules: Array<_, PortRule> = take(ebpf, "RULES")?;
        for (protocol, port, rule) in &plan.rules {
            rules
                .set(rule_index((*protocol).into(), *port), rule, 0)
                .map_err(|source| XdpError::Map { map: "RULES", source })?;
        }
        Ok(Self {
            rules: plan
                .rules
                .iter()
                .map(|(protocol, port, rule)| ((*protocol, *port), *rule))
                .collect(),
            leases: take(ebpf, "LEASES")?,
        })
    }

    /// Lets this lease's guest begin until `end`, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn admit(&mut self, lease: &LeaseKey, end: u64) -> Result<(), XdpError> {
        let Some(key) = self.key(lease) else {
            return Ok(());
        };
        self.leases.insert(key, end, 0).map_err(unusable)
    }

    /// Lets this lease's guest begin no more. That there was no such lease is no error.
    pub fn shut_out(&mut self, lease: &LeaseKey) -> Result<(), XdpError> {
        let Some(key) = self.key(lease) else {
            return Ok(());
        };
        remove(&mut self.leases, &key).map_err(unusable)
    }

    /// `None` for a lease that the XDP program does not ask about.
    fn key(&self, lease: &LeaseKey) -> Option<shield::LeaseKey> {
        let (protocol, port) = lease.port()?;
        let rule = self.rules.get(&(protocol, port))?;
        let address = Address::from(lease.address);
        Some(shield::LeaseKey::new(&address, protocol.into(), rule))
    }
}

fn unusable(source: MapError) -> XdpError {
    XdpError::Map {
        map: "LEASES",
        source,
    }
}

impl From<Protocol> for Transport {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
        }
    }
}
