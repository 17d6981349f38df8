//! Frames around a payload: right, but for the oddities that the input asks for.

use crate::input::Input;
use letmein_tests::frames::{self, CUSTOMER, Extension, Ipv4, Ipv6, Link, OLD_PROVIDER, PROVIDER, Tag};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const LINK: Link = Link {
    source: [2, 0, 0, 0, 0, 7],
    destination: [2, 0, 0, 0, 0, 1],
};
const GATE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const GATE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 1);
/// Senders: of one network or not, and one whose address looks like IPv4 in IPv6.
const SOURCES: [IpAddr; 8] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xDB8, 0, 1, 0, 0, 0, 7)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xDB8, 0, 2, 0, 0, 0, 7)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xDB8, 9, 1, 0, 0, 0, 7)),
    IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xFFFF, 0xC000, 0x0207)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xDB8, 0, 1, 0, 0, 0, 8)),
];
const SOURCE_PORTS: [u16; 3] = [40_000, 40_001, 0];
/// What the kernel takes for an Ethernet frame.
const SHORTEST: usize = 14;
/// An Ethernet frame.
const LONGEST: usize = 1514;

/// A sender.
pub fn source(input: &mut Input<'_>) -> SocketAddr {
    let address = input.choose(&SOURCES).unwrap_or(SOURCES[0]);
    SocketAddr::new(address, input.choose(&SOURCE_PORTS).unwrap_or_default())
}

/// What is in the IP packet.
pub enum Transport<'a> {
    Udp(&'a [u8]),
    Tcp(u8),
}

/// Which oddities, as bits of one byte.
struct Oddities(u8);

impl Oddities {
    const fn has(&self, bit: u8) -> bool {
        self.0 & 1 << bit != 0
    }
}

/// A frame from `source` to this port.
pub fn frame(input: &mut Input<'_>, source: SocketAddr, port: u16, transport: &Transport<'_>) -> Vec<u8> {
    let odd = Oddities(input.byte());
    let gate = SocketAddr::new(
        if source.is_ipv4() {
            GATE_V4.into()
        } else {
            GATE_V6.into()
        },
        port,
    );
    let (protocol, segment) = match transport {
        Transport::Tcp(flags) => (frames::TCP, frames::tcp(source, gate, *flags)),
        Transport::Udp(payload) if odd.has(0) => {
            let length = input.word();
            (frames::UDP, frames::udp_of_length(source, gate, payload, length))
        }
        Transport::Udp(payload) => (frames::UDP, frames::udp(source, gate, payload)),
    };
    let tags = if odd.has(1) { tags(input) } else { Vec::new() };
    let mut frame = match source.ip() {
        IpAddr::V4(address) => {
            let packet = v4(input, &odd, address).packet(protocol, &segment);
            LINK.tagged(&tags, frames::IPV4, &packet)
        }
        IpAddr::V6(address) => {
            let packet = v6(input, &odd, address).packet(protocol, &segment);
            LINK.tagged(&tags, frames::IPV6, &packet)
        }
    };
    if odd.has(5) {
        frame.resize(frame.len() + usize::from(input.byte()), 0);
    }
    if odd.has(6) {
        frame.truncate(frame.len().saturating_sub(input.byte().into()));
    }
    if odd.has(7) {
        let count = input.byte() % 4 + 1;
        poke(input, &mut frame, count);
    }
    frame.resize(frame.len().clamp(SHORTEST, LONGEST), 0);
    frame
}

/// Overwrites single bytes.
pub fn poke(input: &mut Input<'_>, frame: &mut [u8], count: u8) {
    for _ in 0..count {
        let at = usize::from(input.word()) % frame.len().max(1);
        if let Some(byte) = frame.get_mut(at) {
            *byte = input.byte();
        }
    }
}

fn tags(input: &mut Input<'_>) -> Vec<Tag> {
    let count = input.byte() % 11;
    let kinds = [CUSTOMER, PROVIDER, OLD_PROVIDER, 0x8101];
    let tag = |_| Tag {
        kind: input.choose(&kinds).unwrap_or(CUSTOMER),
        vlan: 7,
    };
    (0..count).map(tag).collect()
}

fn v4(input: &mut Input<'_>, odd: &Oddities, source: Ipv4Addr) -> Ipv4 {
    let mut header = Ipv4::new(source, GATE_V4);
    if odd.has(2) {
        header.options = vec![1; usize::from(input.byte() % 11) * 4];
        header.header_words = input.choose(&[None, None, Some(4), Some(5), Some(15)]).flatten();
    }
    if odd.has(3) {
        header.fragmentation = input.word();
    }
    if odd.has(4) {
        header.total = Some(input.word());
    }
    header
}

fn v6(input: &mut Input<'_>, odd: &Oddities, source: Ipv6Addr) -> Ipv6 {
    let mut header = Ipv6::new(source, GATE_V6);
    if odd.has(2) {
        let count = input.byte() % 11;
        header.extensions = (0..count).map(|_| extension(input)).collect();
    }
    if odd.has(3) {
        let [high, low] = input.word().to_be_bytes();
        header.extensions.push(Extension {
            number: 44,
            bytes: vec![0, 0, high, low, 0, 0, 0, 9],
        });
    }
    if odd.has(4) {
        header.length = Some(input.word());
    }
    header
}

fn extension(input: &mut Input<'_>) -> Extension {
    let number = input.choose(&[0, 43, 44, 51, 60, 59, 135]).unwrap_or_default();
    let units = input.byte() % 4;
    let mut bytes = vec![0; 8 + usize::from(units) * if number == 51 { 4 } else { 8 }];
    match number {
        44 => bytes.truncate(8),
        _ => bytes[1] = units,
    }
    Extension { number, bytes }
}
