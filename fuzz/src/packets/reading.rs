//! A frame as the RFCs have it, read plainly: front to back, piece by piece. Where `etherparse` reads it as well, both
//! have found the same.

use etherparse::{Ipv6ExtensionSlice, NetSlice, SlicedPacket, TransportSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Extension headers that are followed.
const EXTENSIONS: usize = 8;
/// VLAN tags that are followed.
const TAGS: usize = 8;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What the XDP program has to find.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// Neither UDP nor TCP, a later fragment, or cut off before the ports.
    Other,
    /// Too many tags, or a chain of extension headers that is too long or leaves the packet.
    HeaderChain,
    /// The same for who looks at TCP: the chain leads to TCP, and the packet ends before the ports.
    TcpHeaderChain,
    /// UDP, but the IP packet ends within its header.
    Truncated,
    /// The same of TCP and its ports.
    TcpTruncated,
    Udp(Datagram<'a>),
    Tcp(Segment),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub source_port: u16,
    pub port: u16,
    pub fragment: bool,
    /// Of header and payload, as the UDP header says, and as the IP header says.
    pub lengths: [usize; 2],
    /// What a socket would get, if all of it is there and the lengths agree.
    pub payload: Option<&'a [u8]>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Segment {
    pub source: IpAddr,
    pub port: u16,
    pub fragment: bool,
    pub flags: Option<u8>,
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn word(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_be_bytes)
    }

    fn skip(&mut self, bytes: usize) {
        self.0 = self.0.get(bytes..).unwrap_or_default();
    }
}

/// Reads a frame.
pub fn read(frame: &[u8]) -> Reading<'_> {
    let reading = ethernet(frame).unwrap_or(Reading::Other);
    compare(&reading, frame);
    reading
}

fn ethernet(frame: &[u8]) -> Option<Reading<'_>> {
    let mut rest = Reader(frame);
    rest.bytes::<12>()?;
    let mut kind = rest.word()?;
    let mut tags = 0;
    while matches!(kind, 0x8100 | 0x88A8 | 0x9100) {
        if tags == TAGS {
            return Some(Reading::HeaderChain);
        }
        rest.word()?;
        kind = rest.word()?;
        tags += 1;
    }
    match kind {
        0x0800 => ipv4(rest),
        0x86DD => ipv6(rest),
        _ => None,
    }
}

fn ipv4(mut rest: Reader<'_>) -> Option<Reading<'_>> {
    let [first, _, total @ ..] = rest.bytes::<4>()?;
    let [_, _, pieces @ ..] = rest.bytes::<4>()?;
    let [_, protocol, _, _] = rest.bytes()?;
    let source = Ipv4Addr::from(rest.bytes::<4>()?);
    let destination = Ipv4Addr::from(rest.bytes::<4>()?);
    let ends = [source.into(), destination.into()];
    let header = usize::from(first % 16) * 4;
    let pieces = u16::from_be_bytes(pieces);
    if first / 16 != 4 || header < 20 || pieces % 0x2000 != 0 {
        return None;
    }
    rest.skip(header - 20);
    let mut length = usize::from(u16::from_be_bytes(total)).saturating_sub(header);
    let fragment = pieces & 0x2000 != 0;
    if fragment {
        // The kernel cuts it down to whole units.
        length -= length % 8;
    }
    match (protocol, length) {
        (UDP, 0..8) => Some(Reading::Truncated),
        (TCP, 0..4) => Some(Reading::TcpTruncated),
        _ => transport(rest, protocol, ends, length, fragment),
    }
}

fn ipv6(mut rest: Reader<'_>) -> Option<Reading<'_>> {
    let [first, _, _, _] = rest.bytes()?;
    let length = usize::from(rest.word()?);
    let [mut next, _] = rest.bytes()?;
    let source = Ipv6Addr::from(rest.bytes::<16>()?);
    let destination = Ipv6Addr::from(rest.bytes::<16>()?);
    let ends = [source.into(), destination.into()];
    if first / 16 != 6 {
        return None;
    }
    // What is left of the packet. Of no length and with hop-by-hop options, it is the frame.
    let mut left = if length == 0 && next == 0 {
        rest.0.len()
    } else {
        length
    };
    let mut fragment = false;
    let mut outside = false;
    for extension in 0..=EXTENSIONS {
        if next == UDP || next == TCP {
            if fragment {
                left -= left % 8;
            }
            let ports = if next == UDP { 8 } else { 4 };
            if outside || left < ports || (extension > 0 && rest.0.len() < ports) {
                return Some(match (next, extension) {
                    (TCP, 1..) if outside => Reading::HeaderChain,
                    (UDP, 0) => Reading::Truncated,
                    (_, 0) => Reading::TcpTruncated,
                    (UDP, _) => Reading::HeaderChain,
                    _ => Reading::TcpHeaderChain,
                });
            }
            return transport(rest, next, ends, left, fragment);
        }
        if !matches!(next, 0 | 43 | 44 | 51 | 60) {
            return outside.then_some(Reading::HeaderChain);
        }
        let header: [u8; 8] = match Reader(rest.0).bytes() {
            Some(header) => header,
            None => break,
        };
        let long = match next {
            51 => 8 + usize::from(header[1]) * 4,
            44 if header[2] > 0 || header[3] > 7 => {
                return (outside || left < 8).then_some(Reading::HeaderChain);
            }
            44 => {
                fragment = true;
                8
            }
            _ => 8 + usize::from(header[1]) * 8,
        };
        next = header[0];
        outside |= left < long;
        rest.skip(long);
        left = left.saturating_sub(long);
    }
    Some(Reading::HeaderChain)
}

fn transport(
    mut rest: Reader<'_>,
    protocol: u8,
    [source, destination]: [IpAddr; 2],
    length: usize,
    fragment: bool,
) -> Option<Reading<'_>> {
    if protocol == TCP {
        let port = u16::from_be_bytes([*rest.0.get(2)?, *rest.0.get(3)?]);
        let flags = rest.0.get(13).filter(|_| length > 13);
        return Some(Reading::Tcp(Segment {
            source,
            port,
            fragment,
            flags: flags.copied(),
        }));
    }
    if protocol != UDP {
        return None;
    }
    let (source_port, port) = (rest.word()?, rest.word()?);
    let said = usize::from(rest.word()?);
    rest.word()?;
    let payload = said.checked_sub(8).and_then(|payload| rest.0.get(..payload));
    Some(Reading::Udp(Datagram {
        source,
        destination,
        source_port,
        port,
        fragment,
        lengths: [said, length],
        payload: payload.filter(|_| said == length),
    }))
}

/// `etherparse` is stricter, so it reads less: but what it reads it reads alike.
fn compare(reading: &Reading<'_>, frame: &[u8]) {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else {
        return;
    };
    let source = match &packet.net {
        Some(NetSlice::Ipv4(v4)) => IpAddr::from(v4.header().source()),
        // etherparse 0.19 reads the bits of a fragment header in the wrong order.
        Some(NetSlice::Ipv6(v6))
            if v6
                .extensions()
                .clone()
                .into_iter()
                .any(|header| is_fragment(&header)) =>
        {
            return;
        }
        Some(NetSlice::Ipv6(v6)) => v6.header().source().into(),
        _ => return,
    };
    match (&packet.transport, reading) {
        (_, Reading::HeaderChain | Reading::TcpHeaderChain | Reading::Truncated | Reading::TcpTruncated) => {}
        (Some(TransportSlice::Udp(udp)), Reading::Udp(datagram)) => {
            assert_eq!(datagram.source, source);
            assert_eq!(datagram.source_port, udp.source_port());
            assert_eq!(datagram.port, udp.destination_port());
            if let Some(payload) = datagram.payload {
                assert_eq!(udp.payload(), payload);
            }
        }
        (Some(TransportSlice::Tcp(tcp)), Reading::Tcp(segment)) => {
            assert_eq!((segment.source, segment.port), (source, tcp.destination_port()));
            // An IPv6 payload of no length is one of any length to etherparse (a jumbogram).
            if segment.flags.is_some() {
                assert_eq!(segment.flags, tcp.slice().get(13).copied());
            }
        }
        (Some(TransportSlice::Udp(_) | TransportSlice::Tcp(_)), other) if packet.link_exts.len() < 3 => {
            unreachable!("etherparse sees more than {other:?} in {frame:02x?}")
        }
        _ => {}
    }
}

fn is_fragment(extension: &Ipv6ExtensionSlice<'_>) -> bool {
    matches!(extension, Ipv6ExtensionSlice::Fragment(_))
}
