//! What a lease is: one source address that may reach one port, for a while.

use std::fmt;
use std::net::IpAddr;
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
    /// The source address. An IPv4-mapped IPv6 address means the IPv4 address in it.
    pub address: IpAddr,
    /// The transport protocol of `port`.
    pub protocol: Protocol,
    /// The destination port on this machine.
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
