//! Which set a lease is in: what the sets are called, and what their keys are made of.
//!
//! Single ports share a set for each address family, with `address . protocol . port` as key. Addresses of IPv6 that
//! are leased by their prefix have one for each length, so that a prefix is never taken for an address. A range of
//! ports has sets of its own, in which the addresses alone are the keys: one element for a lease, however many ports.
//!
//! A resource that jumps has sets of addresses, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use letmein_common::ResourceId;

use super::lease::{LeaseKey, Protocol, Target};
use super::lease_set::{Family, Kind, LeaseSet};
use super::plan::{
    BASE_CHAINS, CUT_FLOWS, CUT_PORTS, FORWARDED_SET, FirewallPlan, GUARD_TABLE, Hook, Mode, PORT_TYPES,
    PROTECTED_SET, Protected,
};
use super::ports::PortRange;

/// Where leases are: the table, and the sets in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub table: String,
    /// What the names of our sets begin with.
    begin: &'static str,
    sets: BTreeSet<LeaseSet>,
    /// What is protected, by protocol and first port.
    ports: BTreeMap<(Protocol, u16), Protected>,
    /// The jumps' leases for IPv6: their prefix, by resource.
    jumps: BTreeMap<ResourceId, u8>,
    /// The sets of single ports, by their names. Ranges have rules instead.
    port_sets: BTreeMap<&'static str, Vec<PortRange>>,
}

/// What a set looks like.
pub(super) struct Shape {
    pub key: &'static [&'static str],
    pub flag: Option<&'static str>,
}

impl Layout {
    pub(super) fn of(plan: &FirewallPlan) -> Self {
        let (table, begin) = match &plan.mode {
            Mode::Guard { .. } => (GUARD_TABLE.to_owned(), ""),
            Mode::Chain { table, .. } => (table.clone(), "letmein_"),
        };
        let ports: BTreeMap<_, _> = plan
            .protected
            .iter()
            .map(|ports| ((ports.ports.protocol, ports.ports.first), *ports))
            .collect();
        let always = Family::BOTH.map(|family| LeaseSet::whole(family, Kind::Ports));
        let sets = ports
            .values()
            .flat_map(|ports| Family::BOTH.map(|family| LeaseSet::of(*ports, family)))
            .chain(plan.jumps.iter().flat_map(LeaseSet::of_jump))
            .chain(always)
            .collect();
        let mut port_sets = BTreeMap::new();
        for (name, wanted, of) in [
            (
                PROTECTED_SET,
                matches!(plan.mode, Mode::Guard { .. }) || plan.syn_chains().next().is_some(),
                (|_| true) as fn(&Protected) -> bool,
            ),
            (FORWARDED_SET, plan.forwards(), |protected| protected.forward),
            (CUT_PORTS, plan.cuts(), |protected| protected.cut),
        ] {
            if wanted {
                let single = ports.values().filter(|protected| !protected.ports.is_range());
                let single = single.filter(|protected| of(protected));
                port_sets.insert(name, single.map(|protected| protected.ports).collect());
            }
        }
        Self {
            table,
            begin,
            sets,
            ports,
            jumps: plan
                .jumps
                .iter()
                .map(|jump| (jump.resource, jump.ipv6_prefix))
                .collect(),
            port_sets,
        }
    }

    /// The sets of ports that the plan needs, and what is in them.
    pub(super) fn port_sets(&self) -> impl Iterator<Item = (String, &[PortRange])> {
        self.port_sets
            .iter()
            .map(|(name, ports)| (self.name(name), ports.as_slice()))
    }

    /// Whether leases in this set are for ports that are forwarded.
    pub(super) fn is_forwarded(&self, set: LeaseSet) -> bool {
        self.ports.values().any(|protected| {
            protected.forward
                && Family::BOTH
                    .map(|family| LeaseSet::of(*protected, family))
                    .contains(&set)
        })
    }

    /// What a set with this name looks like if it is ours, of this plan or an earlier one.
    pub(super) fn shape(&self, name: &str) -> Option<Shape> {
        if let Some(set) = self.parse(name) {
            return Some(Shape {
                key: set.key_types(),
                flag: Some("timeout"),
            });
        }
        let ours = name.strip_prefix(self.begin)?;
        if [FORWARDED_SET, CUT_PORTS, PROTECTED_SET].contains(&ours) {
            return Some(Shape {
                key: &PORT_TYPES,
                flag: None,
            });
        }
        let (_, _, key) = CUT_FLOWS.iter().find(|(_, flows, _)| *flows == ours)?;
        Some(Shape {
            key,
            flag: Some("timeout"),
        })
    }

    /// Whether the plan has a set with this name.
    pub(super) fn wants(&self, name: &str) -> bool {
        match self.parse(name) {
            Some(set) => self.sets.contains(&set),
            None => self.all_names().iter().any(|wanted| wanted == name),
        }
    }

    /// All sets of leases that the plan needs.
    pub(super) fn sets(&self) -> impl Iterator<Item = LeaseSet> + '_ {
        self.sets.iter().copied()
    }

    /// Whether any port is leased in another way than by itself, for one address.
    pub(super) fn has_various(&self) -> bool {
        self.ports
            .values()
            .any(|protected| protected.ports.is_range() || protected.ipv6_prefix != Family::V6.bits())
    }

    /// Whether the plan has this set of leases.
    pub(super) fn has(&self, set: LeaseSet) -> bool {
        self.sets.contains(&set)
    }

    /// The set that a lease belongs to. One for a port that is not protected (any more) is for that port alone.
    pub(super) fn set_of(&self, key: &LeaseKey) -> LeaseSet {
        let family = Family::of(key.address);
        let (resource, prefix) = match key.target {
            Target::Port(protocol, port) => {
                return self.ports.get(&(protocol, port)).map_or_else(
                    || LeaseSet::whole(family, Kind::Ports),
                    |ports| LeaseSet::of(*ports, family),
                );
            }
            Target::JumpForAll(resource) => (resource, 0),
            Target::Jump(resource) if family == Family::V6 => (
                resource,
                self.jumps.get(&resource).copied().unwrap_or(family.bits()),
            ),
            Target::Jump(resource) => (resource, family.bits()),
        };
        LeaseSet {
            family,
            prefix,
            kind: Kind::Jump(resource),
        }
    }

    /// Whether a chain with this name is ours as a whole, and not only what is in it.
    pub(super) fn is_our_chain(&self, name: &str) -> bool {
        let is = |(_, chain): (Hook, &str)| name == self.name(chain);
        self.begin.is_empty() || BASE_CHAINS.into_iter().any(is)
    }

    /// Whether any connection ends with its lease.
    pub(super) fn cuts(&self) -> bool {
        self.port_sets.contains_key(CUT_PORTS)
    }

    /// The ports that a lease opens, if connections to them end with it.
    pub(super) fn cut_by(&self, key: &LeaseKey) -> Option<Protected> {
        let protected = self.ports.get(&key.port()?)?;
        protected.cut.then_some(*protected)
    }

    /// Whether the plan has something that is leased by this key.
    pub(super) fn plans(&self, key: &LeaseKey) -> bool {
        match key.target {
            Target::Port(protocol, port) => self.ports.contains_key(&(protocol, port)),
            Target::Jump(_) | Target::JumpForAll(_) => self.sets.contains(&self.set_of(key)),
        }
    }

    /// What is called this in our tables.
    pub(super) fn name(&self, what: impl fmt::Display) -> String {
        format!("{}{what}", self.begin)
    }

    /// The names of all sets that the plan needs.
    pub(super) fn all_names(&self) -> Vec<String> {
        let flows = CUT_FLOWS.iter().filter(|_| self.cuts());
        self.sets()
            .map(|set| self.name(set))
            .chain(self.port_sets().map(|(name, _)| name))
            .chain(flows.map(|(_, flows, _)| self.name(flows)))
            .collect()
    }

    /// The set of leases with this name, of this plan or an earlier one.
    pub(super) fn parse(&self, name: &str) -> Option<LeaseSet> {
        LeaseSet::parse(name.strip_prefix(self.begin)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Hook, Jump, JumpTo};
    use super::*;

    const MOSH: PortRange = PortRange {
        protocol: Protocol::Udp,
        first: 60000,
        last: 61000,
    };

    fn layout(mode: Mode) -> Layout {
        let protected = |ports, ipv6_prefix| Protected {
            ipv6_prefix,
            ..Protected::from(ports)
        };
        Layout::of(&FirewallPlan {
            mode,
            protected: vec![
                protected(PortRange::one(Protocol::Tcp, 22), 64),
                protected(PortRange::one(Protocol::Tcp, 80), 128),
                protected(MOSH, 56),
            ],
            ..FirewallPlan::default()
        })
    }

    fn names(layout: &Layout) -> Vec<String> {
        layout.sets().map(|set| layout.name(set)).collect()
    }

    #[test]
    fn sets_are_called_by_what_is_in_them() {
        let guard = layout(Mode::default());
        let expected = [
            "leases4",
            "leases4_udp_60000-61000",
            "leases6_56_udp_60000-61000",
            "leases6_64",
            "leases6",
        ];
        assert_eq!(names(&guard), expected);
        for set in guard.sets() {
            assert_eq!(guard.parse(&guard.name(set)), Some(set));
        }
        let chain = layout(Mode::Chain {
            table: "filter".to_owned(),
            chain: "LETMEIN-INPUT".to_owned(),
        });
        assert_eq!(names(&chain), expected.map(|name| format!("letmein_{name}")));
        for set in chain.sets() {
            assert_eq!(chain.parse(&chain.name(set)), Some(set));
        }
        assert_eq!(chain.parse("leases4"), None);
    }

    #[test]
    fn jumps_have_sets_for_who_knocked_and_for_all() {
        let to = |hook, for_all| JumpTo {
            hook,
            chain: "VPN".to_owned(),
            for_all,
        };
        let jump = |to| Jump {
            resource: ResourceId(0x12),
            ipv6_prefix: 64,
            to,
        };
        let names = |to| {
            let plan = FirewallPlan {
                jumps: vec![jump(to)],
                ..FirewallPlan::default()
            };
            let layout = plan.layout();
            for set in layout.sets() {
                assert_eq!(layout.parse(&layout.name(set)), Some(set));
            }
            let mut names = names(&layout);
            names.retain(|name| name.starts_with("jump"));
            names.sort();
            names
        };
        let source = ["jump4_00000012", "jump6_64_00000012"];
        let all = ["jump4_0_00000012", "jump6_0_00000012"];
        assert_eq!(names(vec![to(Hook::Input, false)]), source);
        assert_eq!(names(vec![to(Hook::Forward, true)]), all);
        let both = names(vec![to(Hook::Input, false), to(Hook::Output, true)]);
        assert_eq!(
            both,
            [
                "jump4_00000012",
                "jump4_0_00000012",
                "jump6_0_00000012",
                "jump6_64_00000012"
            ]
        );
    }

    #[test]
    fn other_names_are_not_ours() {
        let guard = layout(Mode::default());
        for name in [
            "",
            "leases",
            "leases5",
            "leases44",
            "leases4_",
            "leases4_32",
            "leases6_128",
            "leases6_129",
            "leases4_33",
            "leases6_064",
            "leases6_64_",
            "leases4_udp",
            "leases4_udp_1",
            "leases4_sctp_1-2",
            "leases4_udp_1-2_3",
            "leases4_udp_01-2",
            "leases4-udp_1-2",
            "protected",
            "leases6_64_64",
            "jump4",
            "jump4_12",
            "jump4_0000001a",
            "jump4_32_00000012",
            "jump6_129_00000012",
            "jump4_udp_1-2",
        ] {
            assert_eq!(guard.parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_lease_is_in_the_set_of_its_ports() {
        let guard = layout(Mode::default());
        let set_of = |address: &str, protocol, port| {
            guard
                .set_of(&LeaseKey::new(address.parse().unwrap(), protocol, port))
                .to_string()
        };
        assert_eq!(set_of("192.0.2.1", Protocol::Tcp, 22), "leases4");
        assert_eq!(set_of("2001:db8::", Protocol::Tcp, 22), "leases6_64");
        assert_eq!(set_of("2001:db8::", Protocol::Tcp, 80), "leases6");
        assert_eq!(
            set_of("192.0.2.1", Protocol::Udp, 60000),
            "leases4_udp_60000-61000"
        );
        assert_eq!(
            set_of("2001:db8::", Protocol::Udp, 60000),
            "leases6_56_udp_60000-61000"
        );
        // Not the first port of the range, and no protected port: nothing but itself.
        assert_eq!(set_of("192.0.2.1", Protocol::Udp, 60001), "leases4");
        assert_eq!(set_of("2001:db8::1", Protocol::Tcp, 60000), "leases6");
    }
}
