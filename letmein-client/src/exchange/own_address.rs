//! Whether an address is one that the whole internet knows its holder by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether packets from here keep this source address wherever they go, as far as the address itself tells: by the
/// IANA registries of special-purpose addresses (RFC 6890), and because nothing but `2000::/3` is given out to anybody in
/// IPv6.
pub fn is_global(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        // "This network" (RFC 791), and from 224 on multicast and reserved addresses (RFC 1112).
        || matches!(a, 0 | 224..)
        // Shared by the customers of a provider (RFC 6598): NAT follows.
        || (a == 100 && (64..128).contains(&b))
        // Protocol assignments (RFC 6890), 6to4 relays (RFC 7526), benchmarks (RFC 2544).
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Protocol assignments (RFC 2928, Teredo among them), documentation (RFC 3849 and 9637).
        [0x2001, 0..0x200 | 0xDB8, ..] | [0x3FFF, 0..0x1000, ..] => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(addresses: &[&str], expected: bool) {
        for address in addresses {
            assert_eq!(is_global(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_named() {
        let v4 = [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
        ];
        all(&v4, true);
        let v6 = ["2001:200::1", "2001:4860:4860::8888", "2a00::1", "3fff:1000::1"];
        all(&v6, true);
        all(&["::ffff:8.8.8.8"], true);
    }

    #[test]
    fn addresses_that_are_translated_or_lead_nowhere_are_not() {
        let v4 = [
            "0.0.0.0",
            "10.77.1.2",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
        ];
        all(&v4, false);
        let v6 = [
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fd77:1::2",
            "fe80::1",
            "ff02::1",
        ];
        all(&v6, false);
    }
}
