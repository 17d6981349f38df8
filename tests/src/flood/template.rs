//! What the packets of a flood are copies of.

use crate::lab::Host;
use anyhow::Context as _;
use etherparse::{Ethernet2Header, PacketBuilder, PacketBuilderStep};
use std::{net::Ipv4Addr, ops::Range};

/// Offsets in a frame.
const IP_SUM: usize = 24;
const UDP_SUM: usize = 40;
const TCP_SUM: usize = 50;
const PROTOCOL: usize = 23;
const TCP: u8 = 6;

/// What copies are made of. Source and source port are zero.
#[derive(Clone)]
pub struct Template {
    /// The frame.
    pub frame: Vec<u8>,
    /// Words of 8 bytes of the payload that are random in each copy.
    pub random: Range<u32>,
    /// Whether they are letters.
    pub letters: bool,
    /// The source of every copy; without one, each has a random source.
    pub source: Option<Ipv4Addr>,
}

impl Template {
    fn new(frame: Vec<u8>, random: Range<u32>) -> Self {
        Self {
            frame,
            random,
            letters: false,
            source: None,
        }
    }

    /// The same packets, all from this address.
    #[must_use]
    pub fn from(self, source: Ipv4Addr) -> Self {
        Self {
            source: Some(source),
            ..self
        }
    }

    pub(super) fn ip_sum(&self) -> u32 {
        self.word(IP_SUM)
    }

    pub(super) fn tcp_sum(&self) -> u32 {
        match self.frame[PROTOCOL] {
            TCP => self.word(TCP_SUM),
            _ => u32::MAX,
        }
    }

    fn word(&self, at: usize) -> u32 {
        u16::from_be_bytes([self.frame[at], self.frame[at + 1]]).into()
    }
}

/// Ethernet addresses: source, destination.
#[derive(Clone, Copy)]
pub struct Macs(pub [u8; 6], pub [u8; 6]);

impl Macs {
    /// Those of frames between these interfaces.
    pub fn between(from: (&Host, &str), to: (&Host, &str)) -> anyhow::Result<Self> {
        let of = |(host, interface): (&Host, &str)| {
            mac(&host.run("cat", &[&format!("/sys/class/net/{interface}/address")])?)
        };
        Ok(Self(of(from)?, of(to)?))
    }

    fn ethernet(self) -> PacketBuilderStep<Ethernet2Header> {
        PacketBuilder::ethernet2(self.0, self.1)
    }

    /// A datagram without a checksum.
    #[must_use]
    pub fn udp(self, to: [u8; 4], port: u16, payload: &[u8], random: Range<u32>) -> Template {
        let mut frame = Vec::new();
        let builder = self.ethernet().ipv4([0; 4], to, 64).udp(0, port);
        // Writing into memory does not fail.
        let _written = builder.write(&mut frame, payload);
        frame[UDP_SUM..UDP_SUM + 2].fill(0);
        Template::new(frame, random)
    }

    /// A SYN.
    #[must_use]
    pub fn syn(self, to: [u8; 4], port: u16) -> Template {
        let mut frame = Vec::new();
        let builder = self.ethernet().ipv4([0; 4], to, 64);
        let _written = builder.tcp(0, port, 1, 65_535).syn().write(&mut frame, &[]);
        Template::new(frame, 0..0)
    }
}

fn mac(text: &str) -> anyhow::Result<[u8; 6]> {
    let mut mac = [0; 6];
    let mut bytes = text.trim().split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(bytes.next().context("a short address")?, 16)?;
    }
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::{Macs, mac};

    #[test]
    fn a_datagram_has_no_checksum_and_no_source() {
        let frame = Macs([1; 6], [2; 6])
            .udp([10, 0, 0, 1], 5800, b"knock", 0..0)
            .frame;
        assert_eq!(frame[..12], [2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(frame[26..34], [0, 0, 0, 0, 10, 0, 0, 1]);
        assert_eq!(frame[36..38], 5800_u16.to_be_bytes());
        assert_eq!(frame[40..], *b"\0\0knock");
    }

    #[test]
    fn an_address_is_six_bytes() {
        assert_eq!(mac("02:00:5e:10:00:ff\n").unwrap(), [2, 0, 0x5E, 0x10, 0, 0xFF]);
        assert!(mac("02:00").is_err());
    }
}
