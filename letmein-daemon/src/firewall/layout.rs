//! Which set a lease is in: what the sets are called, and what their keys are made of.
//!
//! Single ports share a set for each address family, with `address . protocol . port` as key. Addresses of IPv6 that
//! are leased by their prefix have one for each length, so that a prefix is never taken for an address. A range of
//! ports has sets of its own, in which the addresses alone are the keys: one element for a lease, however many ports.
//!
//! A set's name tells all of that, so that what an earlier run left can be read without its configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::lease::{LeaseKey, Protocol, mask};
use super::plan::{FORWARDED_SET, FirewallPlan, GUARD_TABLE, Mode, PORT_TYPES, PROTECTED_SET, Protected};
use super::ports::PortRange;

/// The family of the addresses in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    /// Bits of an address.
    pub(super) const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// What the leases in a set are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// Single ports, each element for one.
    Ports,
    /// All ports of this range.
    Range(PortRange),
}

/// A set of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LeaseSet {
    pub family: Family,
    /// Leading bits of an address that count.
    pub prefix: u8,
    pub target: Target,
}

impl LeaseSet {
    const fn whole(family: Family, target: Target) -> Self {
        Self {
            family,
            prefix: family.bits(),
            target,
        }
    }

    /// The set that these ports are leased in.
    fn of(ports: Protected, family: Family) -> Self {
        let target = if ports.ports.is_range() {
            Target::Range(ports.ports)
        } else {
            Target::Ports
        };
        match family {
            Family::V4 => Self::whole(family, target),
            Family::V6 => Self {
                family,
                prefix: ports.ipv6_prefix,
                target,
            },
        }
    }

    /// What has this name without the part that is the same for all of a table.
    fn parse(name: &str) -> Option<Self> {
        let (family, mut rest) = match name.strip_prefix("leases")?.split_at_checked(1)? {
            ("4", rest) => (Family::V4, rest),
            ("6", rest) => (Family::V6, rest),
            _ => return None,
        };
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let part = rest.strip_prefix('_')?;
            let (part, after) = part.split_at(part.find('_').unwrap_or(part.len()));
            parts.push(part);
            rest = after;
        }
        let mut parts = parts.as_slice();
        let mut set = Self::whole(family, Target::Ports);
        if let [prefix, after @ ..] = parts
            && let Ok(prefix) = prefix.parse()
        {
            set.prefix = prefix;
            parts = after;
        }
        if let [protocol, ports] = parts {
            let (first, last) = ports.split_once('-')?;
            set.target = Target::Range(PortRange {
                protocol: Protocol::from_name(protocol)?,
                first: first.parse().ok()?,
                last: last.parse().ok()?,
            });
            parts = &[];
        }
        // What is written in another way was not written by us.
        (parts.is_empty() && set.prefix <= family.bits() && set.to_string() == name).then_some(set)
    }

    /// The types that the key is made of, as nft calls them.
    pub(super) const fn key_types(self) -> &'static [&'static str] {
        match (self.family, self.target) {
            (Family::V4, Target::Ports) => &["ipv4_addr", "inet_proto", "inet_service"],
            (Family::V6, Target::Ports) => &["ipv6_addr", "inet_proto", "inet_service"],
            (Family::V4, Target::Range(_)) => &["ipv4_addr"],
            (Family::V6, Target::Range(_)) => &["ipv6_addr"],
        }
    }

    /// The bits that count, as an address; none if all do.
    pub(super) fn mask(self) -> Option<IpAddr> {
        let ones = match self.family {
            Family::V4 => IpAddr::from([u8::MAX; 4]),
            Family::V6 => IpAddr::from([u8::MAX; 16]),
        };
        (self.prefix < self.family.bits()).then(|| mask(ones, self.prefix))
    }
}

impl fmt::Display for LeaseSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.family {
            Family::V4 => "leases4",
            Family::V6 => "leases6",
        })?;
        if self.prefix != self.family.bits() {
            write!(formatter, "_{}", self.prefix)?;
        }
        match self.target {
            Target::Ports => Ok(()),
            Target::Range(PortRange {
                protocol,
                first,
                last,
            }) => write!(formatter, "_{protocol}_{first}-{last}"),
        }
    }
}

/// Where leases are: the table, and the sets in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub table: String,
    /// What the names of our sets begin with.
    begin: &'static str,
    sets: BTreeSet<LeaseSet>,
    /// What is protected, by protocol and first port.
    ports: BTreeMap<(Protocol, u16), Protected>,
    /// The sets of ports, by their names.
    port_sets: BTreeMap<&'static str, Vec<PortRange>>,
}

/// What a set looks like.
pub(super) struct Shape {
    pub key: &'static [&'static str],
    pub flag: &'static str,
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
        let always = Family::BOTH.map(|family| LeaseSet::whole(family, Target::Ports));
        let sets = ports
            .values()
            .flat_map(|ports| Family::BOTH.map(|family| LeaseSet::of(*ports, family)))
            .chain(always)
            .collect();
        let mut port_sets = BTreeMap::new();
        if matches!(plan.mode, Mode::Guard { .. }) {
            let all = ports.values().map(|protected| protected.ports).collect();
            port_sets.insert(PROTECTED_SET, all);
        }
        if plan.forwards() {
            let forwarded = ports.values().filter(|protected| protected.forward);
            port_sets.insert(
                FORWARDED_SET,
                forwarded.map(|protected| protected.ports).collect(),
            );
        }
        Self {
            table,
            begin,
            sets,
            ports,
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
                flag: "timeout",
            });
        }
        let is_guard = self.begin.is_empty();
        let ours = name.strip_prefix(self.begin)?;
        (ours == FORWARDED_SET || (is_guard && ours == PROTECTED_SET)).then_some(Shape {
            key: &PORT_TYPES,
            flag: "interval",
        })
    }

    /// Whether the plan has a set with this name.
    pub(super) fn wants(&self, name: &str) -> bool {
        match self.parse(name) {
            Some(set) => self.sets.contains(&set),
            None => self.port_sets().any(|(wanted, _)| wanted == name),
        }
    }

    /// All sets of leases that the plan needs.
    pub(super) fn sets(&self) -> impl Iterator<Item = LeaseSet> + '_ {
        self.sets.iter().copied()
    }

    /// The set that a lease belongs to. One for a port that is not protected (any more) is for that port alone.
    pub(super) fn set_of(&self, key: &LeaseKey) -> LeaseSet {
        let family = Family::of(key.address);
        self.ports.get(&(key.protocol, key.port)).map_or_else(
            || LeaseSet::whole(family, Target::Ports),
            |ports| LeaseSet::of(*ports, family),
        )
    }

    /// What is called this in our tables.
    pub(super) fn name(&self, what: impl fmt::Display) -> String {
        format!("{}{what}", self.begin)
    }

    /// The set of leases with this name, of this plan or an earlier one.
    fn parse(&self, name: &str) -> Option<LeaseSet> {
        LeaseSet::parse(name.strip_prefix(self.begin)?)
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(chain.parse("leases4"), None);
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
