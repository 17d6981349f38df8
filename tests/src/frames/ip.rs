//! IPv4 with options, IPv6 with extension headers.

use super::checksum::{checksum, low_byte, low_word};
use std::net::{Ipv4Addr, Ipv6Addr};

/// How far it may go. No matter on one wire.
const HOP_LIMIT: u8 = 64;

/// An IPv4 header.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Flags and fragment offset, as they lie in the header.
    pub fragmentation: u16,
    /// Which datagram a fragment belongs to.
    pub identification: u16,
    /// Options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// The header's length in words, if not the true one.
    pub header_words: Option<u8>,
    /// The packet's length, if not the true one.
    pub total: Option<u16>,
    /// The version, 4.
    pub version: u8,
}

impl Ipv4 {
    /// A plain header.
    #[must_use]
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            source,
            destination,
            fragmentation: 0,
            identification: 0,
            options: Vec::new(),
            header_words: None,
            total: None,
            version: 4,
        }
    }

    /// The packet. Its header checksum is right, whatever else is not.
    #[must_use]
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let length = 20 + self.options.len();
        let words = self.header_words.unwrap_or(low_byte(length / 4));
        let total = self.total.unwrap_or(low_word(length + payload.len()));
        let mut packet = vec![self.version << 4 | words & 0x0F, 0];
        packet.extend(total.to_be_bytes());
        packet.extend(self.identification.to_be_bytes());
        packet.extend(self.fragmentation.to_be_bytes());
        packet.extend([HOP_LIMIT, protocol, 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(&self.options);
        let checksum = checksum(&packet);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(payload);
        packet
    }
}

/// An extension header of IPv6.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Its protocol number.
    pub number: u8,
    /// All its bytes. The first, which names the next header, is filled in.
    pub bytes: Vec<u8>,
}

/// An IPv6 header and what follows it up to the transport header.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// The chain, in order.
    pub extensions: Vec<Extension>,
    /// The payload's length, if not the true one.
    pub length: Option<u16>,
    /// The version, 6.
    pub version: u8,
}

impl Ipv6 {
    /// A plain header.
    #[must_use]
    pub const fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            source,
            destination,
            extensions: Vec::new(),
            length: None,
            version: 6,
        }
    }

    /// The packet.
    #[must_use]
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut next = protocol;
        let mut chain = Vec::new();
        for extension in self.extensions.iter().rev() {
            let mut bytes = extension.bytes.clone();
            if let Some(first) = bytes.first_mut() {
                *first = next;
            }
            bytes.extend(chain);
            chain = bytes;
            next = extension.number;
        }
        let length = self.length.unwrap_or(low_word(chain.len() + payload.len()));
        let mut packet = vec![self.version << 4, 0, 0, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([next, HOP_LIMIT]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(chain);
        packet.extend(payload);
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::{Extension, Ipv4, Ipv6};
    use crate::frames::checksum::checksum;
    use std::net::Ipv6Addr;

    #[test]
    fn extension_headers_name_what_follows() {
        let mut header = Ipv6::new(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        header.extensions = [0, 60]
            .map(|number| Extension {
                number,
                bytes: vec![9; 8],
            })
            .into();
        let packet = header.packet(17, &[7]);
        assert_eq!(
            (packet[5], packet[6], packet[40], packet[48], packet[56]),
            (17, 0, 60, 17, 7)
        );
    }

    #[test]
    fn an_ipv4_header_counts_its_options() {
        let mut header = Ipv4::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        header.options = vec![1; 8];
        let packet = header.packet(17, &[]);
        assert_eq!((packet[0], packet.len(), checksum(&packet)), (0x47, 28, 0));
    }
}
