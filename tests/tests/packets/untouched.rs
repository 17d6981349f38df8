//! What is not for the gate reaches the server's kernel byte by byte as it was sent.

use crate::{
    modes::native_and_generic,
    network::{CLIENT_V4, CLIENT_V6, CONTROL_PORT, Family, SERVER_V4, SERVER_V6},
    site::Site,
};
use letmein_tests::frames::{ETHERNET_LEN, IPV4, IPV6, Ipv4, Ipv6, Link, udp};
use std::net::Ipv4Addr;

native_and_generic!(
    traffic_of_all_kinds,
    runts,
    the_control_ports_number_elsewhere,
    datagrams_of_other_ports,
);

const ARP: u16 = 0x0806;
const ICMP: u8 = 1;
const TCP: u8 = 6;
/// As TCP has it among its flags.
const ACK: u8 = 0x10;
const ICMPV6: u8 = 58;
/// The longest payload of an ordinary frame.
const MTU: usize = 1500;

/// Numbers that look random and are the same in each run: splitmix64.
struct Numbers(u64);

impl Numbers {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_be_bytes()[0]).collect()
    }

    /// So many bytes, or a few less.
    fn up_to(&mut self, longest: usize) -> Vec<u8> {
        let length = usize::try_from(self.next() % (longest as u64 + 1)).unwrap();
        self.bytes(length)
    }
}

/// To the server, to all, to some, and to nobody here.
fn links(site: &Site) -> [Link; 4] {
    let to = |destination| Link {
        destination,
        ..site.link
    };
    [
        site.link,
        to([0xFF; 6]),
        to([0x01, 0x00, 0x5E, 0, 0, 0x7B]),
        to([0x02, 0, 0, 0, 0, 0x63]),
    ]
}

fn traffic_of_all_kinds(site: &mut Site) {
    let mut numbers = Numbers(1);
    let v4 = Ipv4::new(CLIENT_V4, SERVER_V4);
    let v6 = Ipv6::new(CLIENT_V6, SERVER_V6);
    for _ in 0..4 {
        let mut frames = Vec::new();
        for link in links(site) {
            for (ethertype, payload) in [
                // MPLS, LLDP, PPPoE, an unassigned one, a length instead of a type (LLC), and ARP.
                (0x8847, numbers.up_to(MTU)),
                (0x88CC, numbers.up_to(MTU)),
                (0x8864, numbers.up_to(MTU)),
                (0x22F3, numbers.up_to(MTU)),
                (0x0064, numbers.bytes(0x64)),
                (ARP, numbers.bytes(28)),
                (ARP, who_has(site.link.source)),
                // ICMP, TCP of a connection to a protected port and elsewhere, SCTP.
                (IPV4, v4.packet(ICMP, &numbers.up_to(MTU - 20))),
                (IPV4, v4.packet(TCP, &to_port(&mut numbers, 22))),
                (IPV4, v4.packet(TCP, &to_port(&mut numbers, 443))),
                (IPV4, v4.packet(132, &numbers.up_to(MTU - 20))),
                (IPV6, v6.packet(ICMPV6, &numbers.up_to(MTU - 40))),
                (IPV6, v6.packet(TCP, &to_port(&mut numbers, 22))),
                (IPV6, v6.packet(TCP, &to_port(&mut numbers, 443))),
                // No IP at all.
                (IPV4, numbers.up_to(MTU)),
                (IPV6, numbers.up_to(MTU)),
            ] {
                frames.push(link.frame(ethertype, &payload));
            }
        }
        site.left_to_the_kernel(&frames);
    }
}

/// Shorter than any that Ethernet knows.
fn runts(site: &mut Site) {
    let mut numbers = Numbers(2);
    let mut frames = Vec::new();
    for length in 0..60 - ETHERNET_LEN {
        for ethertype in [IPV4, IPV6, ARP, 0x88CC, 0x0003] {
            let mut payload = numbers.bytes(length);
            // A header that begins well.
            if let Some(first) = payload.first_mut() {
                *first = match ethertype {
                    IPV4 => 0x45,
                    IPV6 => 0x60,
                    _ => *first,
                };
            }
            frames.push(site.link.frame(ethertype, &payload));
        }
    }
    site.left_to_the_kernel(&frames);
}

/// As TCP port, as source port, and as a destination port of what is no UDP.
fn the_control_ports_number_elsewhere(site: &mut Site) {
    let knock = site.knock();
    let v4 = Ipv4::new(CLIENT_V4, SERVER_V4);
    let v6 = Ipv6::new(CLIENT_V6, SERVER_V6);
    let to_the_gate = site.datagram(Family::V4, &knock);
    let to_the_gate_v6 = site.datagram(Family::V6, &knock);
    let mut frames = Vec::new();
    for protocol in (0..=255).filter(|protocol| *protocol != 17) {
        frames.push(site.link.frame(IPV4, &v4.packet(protocol, &to_the_gate)));
    }
    // Those that IPv6 has for extension headers are another test's.
    for protocol in (0..=255).filter(|protocol| ![0, 17, 43, 44, 51, 60].contains(protocol)) {
        frames.push(site.link.frame(IPV6, &v6.packet(protocol, &to_the_gate_v6)));
    }
    let from_its_port = udp((CLIENT_V4, CONTROL_PORT).into(), (SERVER_V4, 53).into(), &knock);
    frames.push(site.carry_v4(&v4, &from_its_port));
    let from_its_port = udp((CLIENT_V6, CONTROL_PORT).into(), (SERVER_V6, 53).into(), &knock);
    frames.push(site.carry_v6(&v6, &from_its_port));
    site.left_to_the_kernel(&frames);
}

/// Also those that one byte, the wrong order of bytes or one bit would make the gate's.
fn datagrams_of_other_ports(site: &mut Site) {
    let mut numbers = Numbers(3);
    let bits = (0..16).map(|bit| CONTROL_PORT ^ 1 << bit);
    let ports = bits.chain([0, 53, CONTROL_PORT - 1, CONTROL_PORT.swap_bytes(), u16::MAX]);
    let mut frames = Vec::new();
    for port in ports {
        for payload in [site.knock(), site.forged(), numbers.up_to(MTU - 48)] {
            let from = (CLIENT_V4, site.port()).into();
            let datagram = udp(from, (SERVER_V4, port).into(), &payload);
            frames.push(site.carry(Family::V4, &datagram));
            let from = (CLIENT_V6, site.port()).into();
            let datagram = udp(from, (SERVER_V6, port).into(), &payload);
            frames.push(site.carry(Family::V6, &datagram));
        }
    }
    site.left_to_the_kernel(&frames);
}

/// Ports, an ACK, and then whatever.
fn to_port(numbers: &mut Numbers, port: u16) -> Vec<u8> {
    let mut rest = numbers.bytes(10);
    rest[9] |= ACK;
    rest.extend(numbers.up_to(MTU - 70));
    [&numbers.bytes(2), &port.to_be_bytes()[..], &rest].concat()
}

/// An ARP request for the server.
fn who_has(source: [u8; 6]) -> Vec<u8> {
    let client: Ipv4Addr = CLIENT_V4;
    let ethernet_and_ipv4 = [0, 1, 0x08, 0x00, 6, 4, 0, 1];
    let mut request = ethernet_and_ipv4.to_vec();
    request.extend(source);
    request.extend(client.octets());
    request.extend([0; 6]);
    request.extend(SERVER_V4.octets());
    request
}
