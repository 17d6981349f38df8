//! What a lease is: one source address that may reach one port, for a while.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use letmein_common::ResourceId;

use crate::leases::Opener;

/// A transport protocol that a port belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, IP protocol 6.
    Tcp,
    /// UDP, IP protocol 17.
    Udp,
}

impl Protocol {
    pub(super) const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// The number in the IP header (IANA protocol numbers).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// The protocol of an IP protocol number, if it is one that ports can be leased for.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }

    /// The protocol with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// The name that nftables and the configuration use: `tcp` or `udp`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a lease opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The destination port. Where a range is leased, its first port, which stands for all of them.
    Port(Protocol, u16),
    /// The jumps of this resource that are for packets of who holds the lease.
    Jump(ResourceId),
    /// The jumps of this resource that are for everybody's packets.
    JumpForAll(ResourceId),
}

/// What identifies a lease: who may come in, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseKey {
    /// The source address. An IPv4-mapped IPv6 address means the IPv4 address in it. Where a prefix of IPv6 gets the
    /// lease, its first address: the rest is zero.
    pub address: IpAddr,
    /// What it opens.
    pub target: Target,
}

impl LeaseKey {
    /// The lease of a port. The address is brought into canonical form: a dual-stack socket reports IPv4 peers as mapped
    /// IPv6 addresses, which no packet on the wire ever carries.
    #[must_use]
    pub const fn new(address: IpAddr, protocol: Protocol, port: u16) -> Self {
        Self {
            address: address.to_canonical(),
            target: Target::Port(protocol, port),
        }
    }

    /// The lease of a resource's jumps for packets of this address.
    #[must_use]
    pub const fn jump(address: IpAddr, resource: ResourceId) -> Self {
        Self {
            address: address.to_canonical(),
            target: Target::Jump(resource),
        }
    }

    /// The leases, one for each address family, of a resource's jumps for everybody's packets.
    #[must_use]
    pub const fn jump_for_all(resource: ResourceId) -> [Self; 2] {
        let target = Target::JumpForAll(resource);
        [
            Self {
                address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                target,
            },
            Self {
                address: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                target,
            },
        ]
    }

    /// The same for this many leading bits of an IPv6 address.
    #[must_use]
    pub fn in_prefix(self, ipv6_prefix: u8) -> Self {
        let address = match self.address {
            IpAddr::V4(_) => self.address,
            IpAddr::V6(_) => mask(self.address, ipv6_prefix),
        };
        Self { address, ..self }
    }

    /// Protocol and (first) port, if it is a lease of ports.
    #[must_use]
    pub const fn port(&self) -> Option<(Protocol, u16)> {
        match self.target {
            Target::Port(protocol, port) => Some((protocol, port)),
            Target::Jump(_) | Target::JumpForAll(_) => None,
        }
    }
}

/// The address with zeros behind this many leading bits.
pub(super) fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(address) => {
            let ones = u32::MAX.checked_shr(prefix).map_or(u32::MAX, |rest| !rest);
            Ipv4Addr::from_bits(address.to_bits() & ones).into()
        }
        IpAddr::V6(address) => {
            let ones = u128::MAX.checked_shr(prefix).map_or(u128::MAX, |rest| !rest);
            Ipv6Addr::from_bits(address.to_bits() & ones).into()
        }
    }
}

impl fmt::Display for LeaseKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target {
            Target::Port(protocol, port) => write!(formatter, "{} to {protocol}/{port}", self.address),
            Target::Jump(resource) => {
                write!(formatter, "{} to the jump of resource {resource}", self.address)
            }
            Target::JumpForAll(resource) => write!(formatter, "everybody to the jump of resource {resource}"),
        }
    }
}

/// A lease that lives in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who, and where to.
    pub key: LeaseKey,
    /// How long it still lives, as the kernel told it: as long as the longest grant.
    pub remaining: Duration,
    /// Whose grant that is.
    pub opener: Opener,
    /// Who else holds a grant, and how much sooner than the lease it ends.
    pub others: Vec<(Opener, Duration)>,
}

impl Lease {
    /// With one grant, which ends with the lease.
    #[must_use]
    pub const fn of(key: LeaseKey, remaining: Duration, opener: Opener) -> Self {
        Self {
            key,
            remaining,
            opener,
            others: Vec::new(),
        }
    }

    /// Who holds grants that live, and how long still.
    pub fn grants(&self) -> impl Iterator<Item = (Opener, Duration)> {
        let others = self.others.iter().filter_map(|(opener, sooner)| {
            let remaining = self.remaining.checked_sub(*sooner)?;
            (!remaining.is_zero()).then_some((*opener, remaining))
        });
        [(self.opener, self.remaining)].into_iter().chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_keeps_its_bits_and_no_more() {
        let masked = |address: &str, prefix| mask(address.parse().unwrap(), prefix).to_string();
        assert_eq!(masked("2001:db8:1:2:3:4:5:6", 64), "2001:db8:1:2::");
        assert_eq!(masked("2001:db8:1:2ff::1", 56), "2001:db8:1:200::");
        assert_eq!(masked("2001:db8::1", 128), "2001:db8::1");
        assert_eq!(masked("ffff::1", 1), "8000::");
        assert_eq!(masked("2001:db8::1", 0), "::");
        assert_eq!(masked("192.0.2.255", 24), "192.0.2.0");
        assert_eq!(masked("192.0.2.255", 32), "192.0.2.255");
        assert_eq!(masked("192.0.2.255", 0), "0.0.0.0");
    }

    #[test]
    fn ipv4_has_no_prefix() {
        let key = |address: &str| LeaseKey::new(address.parse().unwrap(), Protocol::Tcp, 22).in_prefix(64);
        assert_eq!(key("192.0.2.1").address.to_string(), "192.0.2.1");
        assert_eq!(key("::ffff:192.0.2.1").address.to_string(), "192.0.2.1");
        assert_eq!(key("2001:db8::1").address.to_string(), "2001:db8::");
    }
}
