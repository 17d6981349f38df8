//! Headers that lie about lengths.

use crate::{
    modes::native_and_generic,
    network::{CLIENT_V4, CLIENT_V6, CONTROL_PORT, FAMILIES, Family, SERVER_V4, SERVER_V6},
    site::Site,
};
use letmein_common::wire::challenge::LEN;
use letmein_tests::frames::{Ipv4, Ipv6, udp_of_length};

native_and_generic!(
    of_udp_that_are_no_knocks,
    of_ip_that_contradict_udp,
    of_ipv4_headers_that_cannot_be,
    of_bytes_behind_the_packet,
);

/// A UDP header and a knock.
const DATAGRAM: u16 = 8 + 56;
const _: () = assert!(DATAGRAM as usize == 8 + LEN);

/// Whatever bytes there are, a knock is as long as its UDP header says. That header's 0 is no exception, although
/// the kernel would take it for the rest of an IPv6 packet.
fn of_udp_that_are_no_knocks(site: &mut Site) {
    for family in FAMILIES {
        let mut frames = Vec::new();
        for length in [
            0,
            1,
            7,
            8,
            DATAGRAM - 1,
            DATAGRAM + 1,
            0x7FFF,
            0x8000 + DATAGRAM,
            0xFFFF,
        ] {
            let (knock, port) = (site.knock(), site.port());
            let to = (family.server(), CONTROL_PORT).into();
            let datagram = udp_of_length((family.client(), port).into(), to, &knock, length);
            frames.push(site.carry(family, &datagram));
        }
        site.dropped("length", &frames);
        // The IP header agrees, the frame does not have the bytes.
        let datagram = site.datagram(family, &[0; 200]);
        let mut frame = site.carry(family, &datagram);
        frame.truncate(frame.len() - 100);
        site.dropped("length", &[frame]);
    }
}

/// The IP packet is shorter or longer than the UDP datagram in it.
fn of_ip_that_contradict_udp(site: &mut Site) {
    let (v4, v6) = (Ipv4::new(CLIENT_V4, SERVER_V4), Ipv6::new(CLIENT_V6, SERVER_V6));
    let mut frames = Vec::new();
    for length in [
        0,
        1,
        8,
        DATAGRAM - 1,
        DATAGRAM + 1,
        DATAGRAM + 9,
        0x7FFF,
        0xFFFF - 20,
    ] {
        let knock = site.knock();
        let mut datagram = site.datagram(Family::V4, &knock);
        datagram.extend([0; 9]);
        let header = Ipv4 {
            total: Some(20 + length),
            ..v4.clone()
        };
        frames.push(site.carry_v4(&header, &datagram));
        let mut datagram = site.datagram(Family::V6, &knock);
        datagram.extend([0; 9]);
        let header = Ipv6 {
            length: Some(length),
            ..v6.clone()
        };
        frames.push(site.carry_v6(&header, &datagram));
    }
    // Not even the IPv4 header itself.
    for total in [0, 1, 19] {
        let knock = site.knock();
        let datagram = site.datagram(Family::V4, &knock);
        let header = Ipv4 {
            total: Some(total),
            ..v4.clone()
        };
        frames.push(site.carry_v4(&header, &datagram));
    }
    site.dropped("truncated", &frames);
}

/// The kernel finds nothing behind such a header either. Where it leads behind the packet's end, what comes there is not
/// read.
fn of_ipv4_headers_that_cannot_be(site: &mut Site) {
    let knock = site.knock();
    let v4 = Ipv4::new(CLIENT_V4, SERVER_V4);
    let mut frames = Vec::new();
    let too_short = (0..5).map(|words| (words, 4, &knock[..]));
    let no_version_4 = [0, 5, 6, 15].map(|version| (5, version, &knock[..]));
    for (words, version, payload) in too_short.chain(no_version_4) {
        let header = Ipv4 {
            header_words: Some(words),
            version,
            ..v4.clone()
        };
        let datagram = site.datagram(Family::V4, payload);
        frames.push(site.carry_v4(&header, &datagram));
    }
    for version in [0, 4, 5, 7] {
        let header = Ipv6 {
            version,
            ..Ipv6::new(CLIENT_V6, SERVER_V6)
        };
        let datagram = site.datagram(Family::V6, &knock);
        frames.push(site.carry_v6(&header, &datagram));
    }
    site.left_to_the_kernel(&frames);
    let beyond_the_packet = (12..16).map(|words| {
        let header = Ipv4 {
            header_words: Some(words),
            ..v4.clone()
        };
        let datagram = site.datagram(Family::V4, &knock[..20]);
        let mut frame = site.carry_v4(&header, &datagram);
        frame.extend(site.datagram(Family::V4, &knock));
        frame
    });
    let frames: Vec<_> = beyond_the_packet.collect();
    site.dropped("truncated", &frames);
}

/// Ethernet pads short packets, and some drivers leave a checksum there.
fn of_bytes_behind_the_packet(site: &mut Site) {
    for family in FAMILIES {
        let (mut genuine, mut forged) = (Vec::new(), Vec::new());
        for padding in [1, 2, 4, 46, 100, 1000] {
            let padded = |mut frame: Vec<u8>| {
                frame.resize(frame.len() + padding, 0xA5);
                frame
            };
            let (knock, other) = (site.knock(), site.forged());
            genuine.push(padded(site.plain(family, &knock)));
            forged.push(padded(site.plain(family, &other)));
        }
        site.opened(&genuine);
        site.dropped("auth", &forged);
    }
}
