//! What a lease is: one source address that may reach one port, for a while.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

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

/// What identifies a lease: who may come in, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseKey {
    /// The source address. An IPv4-mapped IPv6 address means the IPv4 address in it. Where ports are leased to a
    /// prefix of IPv6, its first address: the rest is zero.
    pub address: IpAddr,
    /// The transport protocol of `port`.
    pub protocol: Protocol,
    /// The destination port. Where a range is leased, its first port, which stands for all of them.
    pub port: u16,
}

impl LeaseKey {
    /// A key with the address in canonical form: a dual-stack socket reports IPv4 peers as mapped IPv6
    /// addresses, which no packet on the wire ever carries.
    #[must_use]
    pub const fn new(address: IpAddr, protocol: Protocol, port: u16) -> Self {
        Self {
            address: address.to_canonical(),
            protocol,
            port,
        }
    }

    /// The same for ports that are leased to this many leading bits of an IPv6 address.
    #[must_use]
    pub fn in_prefix(self, ipv6_prefix: u8) -> Self {
        let address = match self.address {
            IpAddr::V4(_) => self.address,
            IpAddr::V6(_) => mask(self.address, ipv6_prefix),
        };
        Self { address, ..self }
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
        write!(formatter, "{} to {}/{}", self.address, self.protocol, self.port)
    }
}

/// A lease that lives in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who, and where to.
    pub key: LeaseKey,
    /// How long it still lives, as the kernel told it.
    pub remaining: Duration,
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
