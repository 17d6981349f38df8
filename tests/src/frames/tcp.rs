//! TCP.

use super::checksum::{checksum, low_word};
use std::net::{IpAddr, SocketAddr};

/// Protocol number of TCP.
pub const TCP: u8 = 6;

/// A TCP segment without options and payload, with these flags.
#[must_use]
pub fn tcp(source: SocketAddr, destination: SocketAddr, flags: u8) -> Vec<u8> {
    const WORDS: u8 = 5;
    let mut segment = Vec::new();
    segment.extend(source.port().to_be_bytes());
    segment.extend(destination.port().to_be_bytes());
    segment.extend([0, 0, 0, 1]);
    segment.extend([0; 4]);
    segment.extend([WORDS << 4, flags]);
    segment.extend(u16::MAX.to_be_bytes());
    segment.extend([0; 4]);
    let mut covered = Vec::new();
    for address in [source.ip(), destination.ip()] {
        match address {
            IpAddr::V4(v4) => covered.extend(v4.octets()),
            IpAddr::V6(v6) => covered.extend(v6.octets()),
        }
    }
    covered.extend([0, TCP]);
    covered.extend(low_word(segment.len()).to_be_bytes());
    covered.extend(&segment);
    segment[16..18].copy_from_slice(&checksum(&covered).to_be_bytes());
    segment
}

#[cfg(test)]
mod tests {
    use super::tcp;
    use crate::frames::checksum::checksum;
    use std::net::Ipv4Addr;

    #[test]
    fn a_segment_is_covered_by_its_checksum() {
        let source = (Ipv4Addr::LOCALHOST, 1).into();
        let segment = tcp(source, (Ipv4Addr::LOCALHOST, 2).into(), 0x02);
        let pseudo_header = [127, 0, 0, 1, 127, 0, 0, 1, 0, 6, 0, 20];
        assert_eq!(checksum(&[&pseudo_header, &segment[..]].concat()), 0);
        assert_eq!((segment[3], segment[13]), (2, 0x02));
    }
}
