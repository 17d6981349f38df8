//! A set of leases: what is in it, and its name, which tells all of that, so that what an earlier run left can be read
//! without its configuration.

use std::fmt;
use std::net::IpAddr;

use letmein_common::ResourceId;

use super::lease::{Protocol, mask};
use super::plan::{Jump, Protected};
use super::ports::PortRange;

/// The family of the addresses in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Single ports, each element for one.
    Ports,
    /// All ports of this range.
    Range(PortRange),
    /// The jumps of this resource. Where no bit of an address counts, those for everybody.
    Jump(ResourceId),
}

/// A set of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LeaseSet {
    pub family: Family,
    /// Leading bits of an address that count.
    pub prefix: u8,
    pub kind: Kind,
}

impl LeaseSet {
    pub(super) const fn whole(family: Family, kind: Kind) -> Self {
        Self {
            family,
            prefix: family.bits(),
            kind,
        }
    }

    /// The set that these ports are leased in.
    pub(super) fn of(ports: Protected, family: Family) -> Self {
        let kind = if ports.ports.is_range() {
            Kind::Range(ports.ports)
        } else {
            Kind::Ports
        };
        match family {
            Family::V4 => Self::whole(family, kind),
            Family::V6 => Self {
                family,
                prefix: ports.ipv6_prefix,
                kind,
            },
        }
    }

    /// The sets that these jumps are leased in.
    pub(super) fn of_jump(jump: &Jump) -> impl Iterator<Item = Self> {
        let kind = Kind::Jump(jump.resource);
        let (for_source, for_all) = (jump.is_for_source(), jump.is_for_all());
        let ipv6_prefix = jump.ipv6_prefix;
        Family::BOTH.into_iter().flat_map(move |family| {
            let prefix = match family {
                Family::V4 => family.bits(),
                Family::V6 => ipv6_prefix,
            };
            let source = for_source.then_some(Self { family, prefix, kind });
            let all = for_all.then_some(Self {
                family,
                prefix: 0,
                kind,
            });
            source.into_iter().chain(all)
        })
    }

    /// What has this name without the part that is the same for all of a table.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let words: Vec<_> = name.split('_').collect();
        let (first, mut words) = words.split_first()?;
        let (family, is_jump) = match *first {
            "leases4" => (Family::V4, false),
            "leases6" => (Family::V6, false),
            "jump4" => (Family::V4, true),
            "jump6" => (Family::V6, true),
            _ => return None,
        };
        let mut prefix = family.bits();
        // An id has eight digits, a prefix length at most three.
        if let [word, rest @ ..] = words
            && word.len() <= 3
            && let Ok(number) = word.parse()
        {
            (prefix, words) = (number, rest);
        }
        let kind = match (is_jump, words) {
            (false, []) => Kind::Ports,
            (false, [protocol, ports]) => {
                let (first, last) = ports.split_once('-')?;
                Kind::Range(PortRange {
                    protocol: Protocol::from_name(protocol)?,
                    first: first.parse().ok()?,
                    last: last.parse().ok()?,
                })
            }
            (true, [resource]) => Kind::Jump(resource.parse().ok()?),
            _ => return None,
        };
        let set = Self { family, prefix, kind };
        // What is written in another way was not written by us.
        (prefix <= family.bits() && set.to_string() == name).then_some(set)
    }

    /// The types that the key is made of, as nft calls them.
    pub(super) const fn key_types(self) -> &'static [&'static str] {
        match (self.family, self.kind) {
            (Family::V4, Kind::Ports) => &["ipv4_addr", "inet_proto", "inet_service"],
            (Family::V6, Kind::Ports) => &["ipv6_addr", "inet_proto", "inet_service"],
            (Family::V4, Kind::Range(_) | Kind::Jump(_)) => &["ipv4_addr"],
            (Family::V6, Kind::Range(_) | Kind::Jump(_)) => &["ipv6_addr"],
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
        let what = match self.kind {
            Kind::Ports | Kind::Range(_) => "leases",
            Kind::Jump(_) => "jump",
        };
        let family = match self.family {
            Family::V4 => 4,
            Family::V6 => 6,
        };
        write!(formatter, "{what}{family}")?;
        if self.prefix != self.family.bits() {
            write!(formatter, "_{}", self.prefix)?;
        }
        match self.kind {
            Kind::Ports => Ok(()),
            Kind::Range(PortRange {
                protocol,
                first,
                last,
            }) => write!(formatter, "_{protocol}_{first}-{last}"),
            Kind::Jump(resource) => write!(formatter, "_{resource}"),
        }
    }
}
