//! TCP.

use super::checksum::{checksum, low_word};
use super::ethernet::{ETHERNET_LEN, IPV4, IPV6, Link};
use super::ip::{Ipv4, Ipv6};
use std::net::{IpAddr, SocketAddr};

/// Protocol number of TCP.
pub const TCP: u8 = 6;

/// Length of a header without options, in words.
const WORDS: u8 = 5;

/// A TCP segment without options and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Who sends it.
    pub source: SocketAddr,
    /// Who gets it.
    pub destination: SocketAddr,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgment number, which counts if the flags say so.
    pub acknowledgment: u32,
    /// The byte of flags from FIN (1) to CWR (128).
    pub flags: u8,
}

impl Segment {
    /// Its bytes, without an IP header.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let Self {
            source, destination, ..
        } = self;
        let mut segment = Vec::new();
        segment.extend(source.port().to_be_bytes());
        segment.extend(destination.port().to_be_bytes());
        segment.extend(self.sequence.to_be_bytes());
        segment.extend(self.acknowledgment.to_be_bytes());
        segment.extend([WORDS << 4, self.flags]);
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

    /// The Ethernet frame. The segment is empty if its addresses are not of one family.
    #[must_use]
    pub fn frame(&self, link: &Link) -> Vec<u8> {
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                link.frame(IPV4, &Ipv4::new(source, destination).packet(TCP, &self.bytes()))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                link.frame(IPV6, &Ipv6::new(source, destination).packet(TCP, &self.bytes()))
            }
            _ => Vec::new(),
        }
    }

    /// Reads an untagged frame, with whatever options and payload the segment has. `None` if it is none of TCP.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(ETHERNET_LEN..)?;
        let (source, destination, segment): (IpAddr, IpAddr, _) = match packet.first()? >> 4 {
            4 if *packet.get(9)? == TCP => {
                let header = usize::from(packet.first()? & 0x0F) * 4;
                let address = |at| Some(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?.into());
                (address(12)?, address(16)?, packet.get(header..)?)
            }
            6 if *packet.get(6)? == TCP => {
                let address = |at| Some(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?.into());
                (address(8)?, address(24)?, packet.get(40..)?)
            }
            _ => return None,
        };
        let number = |at| Some(u32::from_be_bytes(segment.get(at..at + 4)?.try_into().ok()?));
        let port = |at| Some(u16::from_be_bytes(segment.get(at..at + 2)?.try_into().ok()?));
        Some(Self {
            source: (source, port(0)?).into(),
            destination: (destination, port(2)?).into(),
            sequence: number(4)?,
            acknowledgment: number(8)?,
            flags: *segment.get(13)?,
        })
    }
}

/// A TCP segment without options and payload, with these flags.
#[must_use]
pub fn tcp(source: SocketAddr, destination: SocketAddr, flags: u8) -> Vec<u8> {
    let segment = Segment {
        source,
        destination,
        sequence: 1,
        acknowledgment: 0,
        flags,
    };
    segment.bytes()
}

#[cfg(test)]
mod tests {
    use super::{Segment, tcp};
    use crate::frames::{checksum::checksum, ethernet::Link};
    use std::net::Ipv4Addr;

    #[test]
    fn a_segment_is_covered_by_its_checksum() {
        let source = (Ipv4Addr::LOCALHOST, 1).into();
        let segment = tcp(source, (Ipv4Addr::LOCALHOST, 2).into(), 0x02);
        let pseudo_header = [127, 0, 0, 1, 127, 0, 0, 1, 0, 6, 0, 20];
        assert_eq!(checksum(&[&pseudo_header, &segment[..]].concat()), 0);
        assert_eq!((segment[3], segment[13]), (2, 0x02));
    }

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let link = Link {
            source: [1; 6],
            destination: [2; 6],
        };
        for (source, destination) in [
            ("192.0.2.1:1", "192.0.2.2:2"),
            ("[2001:db8::1]:1", "[2001:db8::2]:2"),
        ] {
            let segment = Segment {
                source: source.parse().unwrap(),
                destination: destination.parse().unwrap(),
                sequence: 0x0102_0304,
                acknowledgment: 0x0506_0708,
                flags: 0xFE,
            };
            let frame = segment.frame(&link);
            assert_eq!(Segment::read(&frame), Some(segment));
            for length in 0..frame.len() - 6 {
                assert_eq!(Segment::read(&frame[..length]), None, "{length}");
            }
        }
    }
}
