//! Ports as they are leased: one by one, or a range as a whole.

use std::fmt;

use super::lease::Protocol;

/// A port of a transport protocol, or a range of ports that one lease opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// Their protocol.
    pub protocol: Protocol,
    /// The first port, which stands for all of them in a [`LeaseKey`](super::LeaseKey).
    pub first: u16,
    /// The last port: the first one again if it is the only one.
    pub last: u16,
}

impl PortRange {
    /// A single port.
    #[must_use]
    pub const fn one(protocol: Protocol, port: u16) -> Self {
        Self {
            protocol,
            first: port,
            last: port,
        }
    }

    /// Whether it is more than one port.
    #[must_use]
    pub const fn is_range(&self) -> bool {
        self.first != self.last
    }

    /// Whether this port is in it.
    #[must_use]
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.protocol == protocol && (self.first..=self.last).contains(&port)
    }

    /// Whether they have a port in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.protocol == other.protocol && self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.protocol, self.first)?;
        if self.is_range() {
            write!(formatter, "-{}", self.last)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(first: u16, last: u16) -> PortRange {
        PortRange {
            protocol: Protocol::Udp,
            first,
            last,
        }
    }

    #[test]
    fn ranges_overlap_if_they_have_a_port_in_common() {
        let middle = udp(100, 200);
        for other in [udp(1, 100), udp(200, 300), udp(150, 150), udp(1, 300), middle] {
            assert!(middle.overlaps(&other) && other.overlaps(&middle), "{other}");
        }
        for other in [udp(1, 99), udp(201, 300), PortRange::one(Protocol::Tcp, 150)] {
            assert!(!middle.overlaps(&other) && !other.overlaps(&middle), "{other}");
        }
    }

    #[test]
    fn a_range_has_both_ends() {
        let range = udp(100, 200);
        assert!(
            [100, 150, 200]
                .iter()
                .all(|port| range.contains(Protocol::Udp, *port))
        );
        assert!([99, 201].iter().all(|port| !range.contains(Protocol::Udp, *port)));
        assert!(!range.contains(Protocol::Tcp, 150));
    }
}
