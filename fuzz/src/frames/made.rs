//! Packets of every shape, made of bytes: what they are for is plain, what is around it is not.

use super::{CONTROL, OPEN, SHIELDED, machines::ADDRESS};
use crate::input::Input;
use letmein_tests::frames::{
    self, CUSTOMER, Extension, IPV4, IPV6, Ipv4, Ipv6, Link, OLD_PROVIDER, PROVIDER, TCP, Tag, UDP, checksum,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// VLAN tags and extension headers that the program follows. More of them may be dropped.
pub const MOST: usize = 8;
/// What a packet may have around it.
pub const FEATURES: [&str; 5] = [
    "plainly",
    "in tags",
    "behind options",
    "in pieces",
    "with lengths that lie",
];

const LINK: Link = Link {
    source: [2, 0, 0, 0, 0, 7],
    destination: ADDRESS,
};
const GATE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xFD00, 0, 0, 0, 0, 0, 0, 1)),
];
const MORE_FRAGMENTS: u16 = 0x2000;
/// Protocol numbers of extension headers.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
/// What may stand where flags are.
const FLAGS: [u8; 6] = [0x02, 0x02, 0x42, 0x10, 0x12, 0x01];

/// A packet, in one frame or several.
pub struct Flow {
    pub frames: Vec<Vec<u8>>,
    /// Nobody else's.
    pub sources: [IpAddr; 2],
    /// The program drops what it cannot follow, whatever it is for.
    pub may_be_dropped: bool,
    /// Which of [`FEATURES`] it has.
    pub features: [bool; FEATURES.len()],
}

/// A plain datagram to a port.
pub fn marker(port: u16) -> Vec<u8> {
    let source = SocketAddr::from(([10, 255, 255, 254], port));
    let datagram = frames::udp(source, SocketAddr::new(GATE[0], port), &[]);
    let header = Ipv4::new(Ipv4Addr::new(10, 255, 255, 254), Ipv4Addr::new(10, 0, 0, 1));
    LINK.frame(IPV4, &header.packet(UDP, &datagram))
}

impl Flow {
    pub fn made_of(input: &mut Input<'_>, number: u32) -> Self {
        let sources = [
            IpAddr::from(Ipv4Addr::from(0x0A01_0000 + number)),
            Ipv6Addr::from((0xFD00 << 112) | 0x0001_0000_0000 | u128::from(number)).into(),
        ];
        let is_v6 = input.byte() % 2 == 1;
        let source = sources[usize::from(is_v6)];
        let (protocol, segment) = segment(input, source, GATE[usize::from(is_v6)]);
        let tags = tags(input);
        let mut flow = Self {
            frames: Vec::new(),
            sources,
            may_be_dropped: tags.len() > MOST,
            features: [false; FEATURES.len()],
        };
        let padding = padding(input);
        let packets = match source {
            IpAddr::V4(source) => flow.v4(input, source, number, protocol, &segment),
            IpAddr::V6(source) => flow.v6(input, source, number, protocol, &segment),
        };
        flow.features[1] = tags.len() > 2;
        flow.features[0] = tags.is_empty() && flow.features == [false; FEATURES.len()];
        let kind = if is_v6 { IPV6 } else { IPV4 };
        for packet in packets {
            let mut frame = LINK.tagged(&tags, kind, &packet);
            frame.extend(&padding);
            frame.truncate(1514);
            flow.frames.push(frame);
        }
        flow
    }

    fn v4(
        &mut self,
        input: &mut Input<'_>,
        source: Ipv4Addr,
        number: u32,
        protocol: u8,
        segment: &[u8],
    ) -> Vec<Vec<u8>> {
        let IpAddr::V4(gate) = GATE[0] else {
            return Vec::new();
        };
        let mut header = Ipv4::new(source, gate);
        header.identification = (number & 0xFFFF) as u16;
        if input.byte() % 3 == 0 {
            header.options = vec![1; usize::from(input.byte() % 11) * 4];
            self.features[2] = !header.options.is_empty();
        }
        let whole = segment.len() + 20 + header.options.len();
        let lie = lie(input);
        header.total = lie.map(|lie| shifted(whole, lie));
        header.header_words = (input.byte() % 16 == 1).then(|| 5 + input.byte() % 11);
        self.features[4] = header.total.is_some() || header.header_words.is_some();
        let pieces = pieces(input, segment);
        if pieces.is_empty() {
            return vec![header.packet(protocol, segment)];
        }
        self.in_pieces(segment);
        let of_pieces = pieces.iter().map(|piece| {
            let more = if piece.more { MORE_FRAGMENTS } else { 0 };
            let header = Ipv4 {
                fragmentation: piece.unit | more,
                total: lie.map(|lie| shifted(piece.bytes.len() + 20 + header.options.len(), lie)),
                ..header.clone()
            };
            header.packet(protocol, &piece.bytes)
        });
        of_pieces.collect()
    }

    fn v6(
        &mut self,
        input: &mut Input<'_>,
        source: Ipv6Addr,
        number: u32,
        protocol: u8,
        segment: &[u8],
    ) -> Vec<Vec<u8>> {
        let IpAddr::V6(gate) = GATE[1] else {
            return Vec::new();
        };
        let mut header = Ipv6::new(source, gate);
        header.extensions = chain(input);
        self.may_be_dropped |= header.extensions.len() > MOST;
        self.features[2] = !header.extensions.is_empty();
        let length = |header: &Ipv6, payload: &[u8]| {
            let chain: usize = header
                .extensions
                .iter()
                .map(|extension| extension.bytes.len())
                .sum();
            chain + payload.len()
        };
        let lie = lie(input);
        self.features[4] = lie.is_some();
        let behind = if input.byte() % 4 == 0 {
            chain(input)
        } else {
            Vec::new()
        };
        let pieces = pieces(input, segment);
        if pieces.is_empty() {
            header.length = lie.map(|lie| shifted(length(&header, segment), lie));
            return vec![header.packet(protocol, segment)];
        }
        self.in_pieces(segment);
        self.may_be_dropped |= header.extensions.len() + 1 + behind.len() > MOST;
        let of_pieces = pieces.iter().map(|piece| {
            let mut header = header.clone();
            let field = piece.unit << 3 | u16::from(piece.more);
            let mut bytes = vec![0, 0];
            bytes.extend(field.to_be_bytes());
            bytes.extend(number.to_be_bytes());
            header.extensions.push(Extension {
                number: FRAGMENT,
                bytes,
            });
            if piece.unit == 0 {
                // The first piece says what is behind; its own chain moves the rest, which then does not fit.
                header.extensions.extend(behind.clone());
            }
            header.length = lie.map(|lie| shifted(length(&header, &piece.bytes), lie));
            header.packet(protocol, &piece.bytes)
        });
        of_pieces.collect()
    }

    /// A first piece without flags that is for a shielded port is dropped, whatever its flags are.
    fn in_pieces(&mut self, segment: &[u8]) {
        self.features[3] = true;
        let port = segment
            .get(2..4)
            .map(|port| u16::from_be_bytes([port[0], port[1]]));
        self.may_be_dropped |= port == Some(SHIELDED[0]);
    }
}

fn shifted(length: usize, lie: i32) -> u16 {
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    u16::try_from((length + lie).max(0)).unwrap_or(u16::MAX)
}

/// How far a length is from the truth, if it is. The most of them make it shorter; the longest is no length.
fn lie(input: &mut Input<'_>) -> Option<i32> {
    match input.byte() % 8 {
        0 => Some(-i32::from(input.byte() % 64)),
        1 => Some(i32::from(input.byte() % 32)),
        2 => Some(-0x1_0000),
        _ => None,
    }
}

/// Protocol and what it carries.
fn segment(input: &mut Input<'_>, source: IpAddr, gate: IpAddr) -> (u8, Vec<u8>) {
    let kind = input.byte() % 8;
    let port = match kind {
        0..3 => CONTROL,
        3 => SHIELDED[1],
        4 => OPEN[1],
        5 | 6 => SHIELDED[0],
        _ => OPEN[0],
    };
    let [source, gate] = [SocketAddr::new(source, 40_000), SocketAddr::new(gate, port)];
    if kind >= 5 {
        let flags = input.choose(&FLAGS).unwrap_or(2);
        return (TCP, frames::tcp(source, gate, flags));
    }
    let payload = vec![0x5A; [56, 88, 0, 20][usize::from(input.byte() % 4)]];
    let length = 8 + payload.len();
    let said = lie(input).map_or(length, |lie| shifted(length, lie).into());
    let said = u16::try_from(said).unwrap_or(u16::MAX);
    let mut datagram = frames::udp_of_length(source, gate, &payload, said);
    if let IpAddr::V6(_) = source.ip() {
        // The kernel checks as much as the header says.
        let covered = datagram.len().min(said.into());
        cover(&mut datagram, covered, source.ip(), gate.ip(), said);
    } else {
        datagram[6..8].fill(0);
    }
    (UDP, datagram)
}

/// The checksum of the first bytes of a datagram.
fn cover(datagram: &mut [u8], length: usize, source: IpAddr, gate: IpAddr, said: u16) {
    datagram[6..8].fill(0);
    let mut covered = Vec::new();
    for address in [source, gate] {
        if let IpAddr::V6(v6) = address {
            covered.extend(v6.octets());
        }
    }
    covered.extend([0, UDP]);
    covered.extend(said.to_be_bytes());
    covered.extend(&datagram[..length]);
    let sum = match checksum(&covered) {
        0 => 0xFFFF,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
}

fn tags(input: &mut Input<'_>) -> Vec<Tag> {
    let choice = input.byte();
    let count = match choice % 4 {
        0 => 3 + choice / 4 % 8,
        1 => choice / 4 % 3,
        _ => 0,
    };
    let kinds = [CUSTOMER, PROVIDER, CUSTOMER, PROVIDER, CUSTOMER, OLD_PROVIDER];
    let tag = |_| {
        let choice = input.byte();
        Tag {
            kind: kinds[usize::from(choice % 6)],
            // A priority, seldom a number.
            vlan: if choice / 6 % 16 == 15 {
                7
            } else {
                u16::from(choice / 64) << 13
            },
        }
    };
    (0..count).map(tag).collect()
}

fn chain(input: &mut Input<'_>) -> Vec<Extension> {
    let choice = input.byte();
    let count = match choice % 4 {
        0 => 1 + choice / 4 % 3,
        1 => choice / 4 % 11,
        _ => 0,
    };
    let mut chain: Vec<Extension> = Vec::new();
    for place in 0..count {
        let choice = input.byte();
        // Hop-by-hop options are the first.
        let number = match choice % 4 {
            0 if place == 0 => HOP_BY_HOP,
            1 => ROUTING,
            _ => DESTINATION_OPTIONS,
        };
        let units = if number == ROUTING {
            1
        } else {
            1 + usize::from(choice / 4 % 3)
        };
        let mut bytes = vec![0; units * 8];
        if number == ROUTING {
            // A route that has been travelled, of a type for experiments.
            bytes[2] = 253;
        } else {
            bytes[1] = u8::try_from(units - 1).unwrap_or_default();
            // One option that is skipped and fills the rest.
            bytes[2] = 1;
            bytes[3] = u8::try_from(units * 8 - 4).unwrap_or_default();
        }
        if choice >= 250 {
            bytes[1] = choice;
        }
        chain.push(Extension { number, bytes });
    }
    chain
}

/// What is behind the packet in its frame: nothing, zeros, or what looks like headers for open ports.
fn padding(input: &mut Input<'_>) -> Vec<u8> {
    let choice = input.byte();
    let decoy = |port: u16| [&40_000_u16.to_be_bytes()[..], &port.to_be_bytes(), &[0, 8, 0, 0]].concat();
    match choice % 4 {
        0 => vec![0; usize::from(choice / 4)],
        1 => decoy(OPEN[1]).repeat(1 + usize::from(choice / 4)),
        2 => {
            // An end of a chain, and then one of those.
            let mut end = vec![if choice & 64 == 0 { UDP } else { 59 }, 0, 1, 4, 0, 0, 0, 0];
            end.extend(decoy(OPEN[1]));
            end.repeat(2)
        }
        _ => Vec::new(),
    }
}

/// A fragment.
struct Piece {
    unit: u16,
    more: bool,
    bytes: Vec<u8>,
}

/// No pieces for a packet that is none.
fn pieces(input: &mut Input<'_>, segment: &[u8]) -> Vec<Piece> {
    let choice = input.byte();
    if choice % 4 != 0 {
        return Vec::new();
    }
    let cut = 8 * (1 + usize::from(input.byte()) % (segment.len() / 8).max(1));
    let cut = cut.min(segment.len() / 8 * 8);
    let (first, last) = segment.split_at(cut);
    let mut first = Piece {
        unit: 0,
        more: true,
        bytes: first.to_vec(),
    };
    let mut last = Piece {
        unit: u16::try_from(cut / 8).unwrap_or_default(),
        more: false,
        bytes: last.to_vec(),
    };
    match choice / 4 % 8 {
        // Bytes that are cut off again, with other flags.
        0 | 1 => first.bytes.extend(vec![0x10; usize::from(input.byte() % 8)]),
        // Both have some of it.
        2 => {
            last.unit = last.unit.saturating_sub(1);
            let from = usize::from(last.unit) * 8;
            last.bytes = segment[from..].to_vec();
        }
        // One piece is all.
        3 => {
            first.more = false;
            first.bytes = segment.to_vec();
            return vec![first];
        }
        _ => {}
    }
    if choice / 32 % 2 == 0 {
        vec![first, last]
    } else {
        vec![last, first]
    }
}
