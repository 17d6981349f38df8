//! Where a packet came from, in the one form that map keys use.

use core::net::{IpAddr, Ipv6Addr};

/// An address as the 16 bytes of IPv6, IPv4 mapped to `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2).
///
/// The two words hold the bytes in network order, whatever the machine's own order: keys are compared as
/// bytes, and two words are moved with two instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Address(pub [u64; 2]);

impl Address {
    /// The IPv4 address made of these four bytes, in network order.
    #[inline(always)]
    #[must_use]
    pub const fn v4([a, b, c, d]: [u8; 4]) -> Self {
        Self([0, u64::from_ne_bytes([0, 0, 0xFF, 0xFF, a, b, c, d])])
    }

    /// The IPv6 address made of these 16 bytes, in network order.
    #[inline(always)]
    #[must_use]
    pub const fn v6(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        Self([
            u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            u64::from_ne_bytes(rest),
        ])
    }

    /// The 16 bytes, in network order.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h] = self.0[0].to_ne_bytes();
        let [i, j, k, l, m, n, o, p] = self.0[1].to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// Whether this is a mapped IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        let mapped = u64::from_ne_bytes([0, 0, 0xFF, 0xFF, 0, 0, 0, 0]);
        let prefix = u64::from_ne_bytes([0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
        self.0[0] == 0 && self.0[1] & prefix == mapped
    }

    /// Whether no packet that a network carries comes from here: "this network", loopback, multicast, reserved addresses
    /// (RFC 6890), and those of IPv6 that stand for nobody or for an IPv4 address (RFC 4291, section 2.5.5.1).
    ///
    /// An IPv4-mapped address counts as IPv4. In the header of an IPv6 packet, it is a martian as well.
    #[inline(always)]
    #[must_use]
    pub const fn is_martian(&self) -> bool {
        if self.is_v4() {
            let [_, _, _, _, first, ..] = self.0[1].to_ne_bytes();
            return matches!(first, 0 | 127 | 224..=255);
        }
        let [first, ..] = self.0[0].to_ne_bytes();
        let [a, b, c, d, ..] = self.0[1].to_ne_bytes();
        first == 0xFF || (self.0[0] == 0 && matches!([a, b, c, d], [0, 0, 0, 0]))
    }

    /// The network that this address is counted with: see [`Prefixes`].
    #[inline(always)]
    #[must_use]
    pub const fn network(self, prefixes: &Prefixes) -> Self {
        let mask = if self.is_v4() { prefixes.v4 } else { prefixes.v6 };
        Self([self.0[0] & mask.0[0], self.0[1] & mask.0[1]])
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        let v6 = Ipv6Addr::from(address.bytes());
        v6.to_ipv4_mapped().map_or(Self::V6(v6), Self::V4)
    }
}

/// How many leading bits of an address share one token bucket, as masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Prefixes {
    v4: Address,
    v6: Address,
}

impl Prefixes {
    /// Every address for itself.
    pub const ALL: Self = Self {
        v4: Address([u64::MAX; 2]),
        v6: Address([u64::MAX; 2]),
    };

    /// The first `v4` bits (at most 32) of an IPv4 address, the first `v6` bits (at most 128) of an IPv6 one.
    #[must_use]
    pub fn new(v4: u8, v6: u8) -> Self {
        let mask = |bits: u8| match u32::from(bits).min(128) {
            0 => Address::v6([0; 16]),
            bits => Address::v6((u128::MAX << (128 - bits)).to_be_bytes()),
        };
        Self {
            v4: mask(96 + v4.min(32)),
            v6: mask(v6),
        }
    }

    /// The masks of IPv4, in the mapped form, and of IPv6.
    #[must_use]
    pub const fn masks(&self) -> [Address; 2] {
        [self.v4, self.v6]
    }

    /// The prefixes that [`masks`](Self::masks) has told.
    #[must_use]
    pub const fn from_masks([v4, v6]: [Address; 2]) -> Self {
        Self { v4, v6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str, prefixes: &Prefixes) -> IpAddr {
        Address::from(address.parse::<IpAddr>().unwrap())
            .network(prefixes)
            .into()
    }

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in ["192.0.2.7", "2001:db8::7", "::1", "0.0.0.0", "::"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(Address::from(address)), address);
        }
        assert!(Address::from("192.0.2.7".parse::<IpAddr>().unwrap()).is_v4());
        assert!(!Address::from("2001:db8::7".parse::<IpAddr>().unwrap()).is_v4());
    }

    #[test]
    fn nobody_sends_from_mars() {
        let is_martian = |text: &str| Address::from(text.parse::<IpAddr>().unwrap()).is_martian();
        for martian in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::192.0.2.7",
            "::ffff:127.0.0.1",
            "ff02::1",
            "ff0e::7",
        ] {
            assert!(is_martian(martian), "{martian}");
        }
        for neighbour in [
            "1.0.0.1",
            "10.77.1.2",
            "126.255.255.255",
            "128.0.0.1",
            "169.254.0.7",
            "223.255.255.255",
            "::ffff:192.0.2.7",
            "::1:0:0:7",
            "64:ff9b::192.0.2.7",
            "2001:db8::7",
            "fd77:1::2",
            "fe80::7",
        ] {
            assert!(!is_martian(neighbour), "{neighbour}");
        }
    }

    #[test]
    fn networks_keep_the_prefix() {
        let prefixes = Prefixes::new(24, 56);
        assert_eq!(
            network("192.0.2.7", &prefixes),
            "192.0.2.0".parse::<IpAddr>().unwrap()
        );
        assert_eq!(
            network("2001:db8:1:2ff::7", &prefixes),
            "2001:db8:1:200::".parse::<IpAddr>().unwrap()
        );
        let all = Prefixes::new(32, 128);
        assert_eq!(network("192.0.2.7", &all), "192.0.2.7".parse::<IpAddr>().unwrap());
        assert_eq!(
            network("2001:db8::7", &all),
            "2001:db8::7".parse::<IpAddr>().unwrap()
        );
    }
}
