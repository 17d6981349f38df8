//! UDP.

use super::checksum::{checksum, low_word};
use std::net::{IpAddr, SocketAddr};

/// Protocol number of UDP.
pub const UDP: u8 = 17;

/// A UDP datagram.
#[must_use]
pub fn udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    udp_of_length(source, destination, payload, low_word(8 + payload.len()))
}

/// A UDP datagram whose header tells another length. Its checksum is right for that header.
#[must_use]
pub fn udp_of_length(source: SocketAddr, destination: SocketAddr, payload: &[u8], length: u16) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(source.port().to_be_bytes());
    datagram.extend(destination.port().to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let mut covered = Vec::new();
    for address in [source.ip(), destination.ip()] {
        match address {
            IpAddr::V4(v4) => covered.extend(v4.octets()),
            IpAddr::V6(v6) => covered.extend(v6.octets()),
        }
    }
    covered.extend([0, UDP]);
    covered.extend(length.to_be_bytes());
    covered.extend(&datagram);
    // Zero would mean that there is none.
    let checksum = match checksum(&covered) {
        0 => 0xFFFF,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
    datagram
}

#[cfg(test)]
mod tests {
    use super::udp;
    use crate::frames::checksum::checksum;
    use std::net::Ipv4Addr;

    #[test]
    fn a_datagram_of_odd_length_is_covered_to_its_end() {
        let source = (Ipv4Addr::LOCALHOST, 1).into();
        let datagram = udp(source, (Ipv4Addr::LOCALHOST, 2).into(), &[1, 2, 3]);
        let pseudo_header = [127, 0, 0, 1, 127, 0, 0, 1, 0, 17, 0, 11];
        assert_eq!(checksum(&[&pseudo_header, &datagram[..], &[0]].concat()), 0);
    }
}
