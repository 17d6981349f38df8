//! What begins a TCP connection to a protected port, in every guise that the gate's own datagrams are tried in.

use crate::{
    extensions::{AUTHENTICATION, DESTINATION_OPTIONS, HOP_BY_HOP, options},
    fragments::fragment,
    modes::native_and_generic,
    network::{CLIENT_V4, CLIENT_V6, FAMILIES, Family, SERVER_V4, SERVER_V6},
    site::Site,
};
use letmein_tests::{
    frames::{CUSTOMER, Extension, IPV4, IPV6, Ipv4, Ipv6, OLD_PROVIDER, PROVIDER, TCP, Tag, UDP, tcp, udp},
    gate::KEY,
};

native_and_generic!(
    whatever_has_syn_and_no_ack_needs_a_lease,
    a_syn_is_found_behind_all_that_is_followed,
    other_segments_and_ports_pass_behind_all_of_it,
    a_lease_lets_every_guise_through_until_it_is_revoked,
    a_syn_in_pieces_is_dropped_and_later_pieces_pass,
    a_piece_without_flags_is_dropped_if_it_is_for_a_protected_port,
    bytes_that_the_kernel_cuts_off_a_piece_are_not_read,
    a_chain_that_hides_the_ports_is_dropped,
    a_segment_cut_before_its_flags_is_dropped,
    datagrams_to_a_protected_port_are_left_to_the_firewall,
);

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
/// Protected: that of the resource that the client may open.
const SSH: u16 = 22;
const OTHER: u16 = 443;
const MORE_FRAGMENTS: u16 = 0x2000;

impl Site {
    fn segment(&mut self, family: Family, port: u16, flags: u8) -> Vec<u8> {
        let source = (family.client(), self.port()).into();
        tcp(source, (family.server(), port).into(), flags)
    }

    fn tcp_v4(&self, header: &Ipv4, segment: &[u8]) -> Vec<u8> {
        self.link.frame(IPV4, &header.packet(TCP, segment))
    }

    fn tcp_v6(&self, header: &Ipv6, segment: &[u8]) -> Vec<u8> {
        self.link.frame(IPV6, &header.packet(TCP, segment))
    }

    fn plain_tcp(&mut self, family: Family, port: u16, flags: u8) -> Vec<u8> {
        let segment = self.segment(family, port, flags);
        match family {
            Family::V4 => self.tcp_v4(&plain_v4(), &segment),
            Family::V6 => self.tcp_v6(&plain_v6(), &segment),
        }
    }
}

const fn plain_v4() -> Ipv4 {
    Ipv4::new(CLIENT_V4, SERVER_V4)
}

const fn plain_v6() -> Ipv6 {
    Ipv6::new(CLIENT_V6, SERVER_V6)
}

/// A segment in each guise that the XDP program sees through.
fn guises(site: &mut Site, port: u16, flags: u8) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for family in FAMILIES {
        frames.push(site.plain_tcp(family, port, flags));
    }
    for words in [1, 2, 10] {
        let segment = site.segment(Family::V4, port, flags);
        let header = Ipv4 {
            options: vec![1; words * 4],
            ..plain_v4()
        };
        frames.push(site.tcp_v4(&header, &segment));
    }
    let authentication = Extension {
        number: AUTHENTICATION,
        bytes: vec![
            0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ],
    };
    for extensions in [
        vec![options(HOP_BY_HOP, 1)],
        vec![options(DESTINATION_OPTIONS, 1); 8],
        vec![options(HOP_BY_HOP, 1), options(DESTINATION_OPTIONS, 3)],
        vec![authentication],
        // Complete in one fragment (RFC 6946).
        vec![fragment(0, false, 1)],
    ] {
        let segment = site.segment(Family::V6, port, flags);
        let header = Ipv6 {
            extensions,
            ..plain_v6()
        };
        frames.push(site.tcp_v6(&header, &segment));
    }
    let stacks: [&[u16]; 4] = [
        &[CUSTOMER],
        &[OLD_PROVIDER],
        &[PROVIDER, CUSTOMER],
        &[CUSTOMER, CUSTOMER],
    ];
    for kinds in stacks {
        let tags: Vec<_> = kinds.iter().map(|kind| Tag { kind: *kind, vlan: 7 }).collect();
        let segment = site.segment(Family::V4, port, flags);
        let packet = plain_v4().packet(TCP, &segment);
        frames.push(site.link.tagged(&tags, IPV4, &packet));
        let segment = site.segment(Family::V6, port, flags);
        let packet = plain_v6().packet(TCP, &segment);
        frames.push(site.link.tagged(&tags, IPV6, &packet));
    }
    frames
}

fn whatever_has_syn_and_no_ack_needs_a_lease(site: &mut Site) {
    let (mut bare, mut rest) = (Vec::new(), Vec::new());
    for flags in 0..=u8::MAX {
        let list = if flags & (SYN | ACK) == SYN {
            &mut bare
        } else {
            &mut rest
        };
        list.extend(FAMILIES.map(|family| site.plain_tcp(family, SSH, flags)));
    }
    assert_eq!(bare.len(), 2 * 64);
    site.dropped("shield", &bare);
    site.left_to_the_kernel(&rest);
}

fn a_syn_is_found_behind_all_that_is_followed(site: &mut Site) {
    let frames = guises(site, SSH, SYN);
    site.dropped("shield", &frames);
}

fn other_segments_and_ports_pass_behind_all_of_it(site: &mut Site) {
    let mut frames = guises(site, SSH, ACK);
    for port in [OTHER, 0, SSH + 1000, SSH.swap_bytes(), 5800, u16::MAX] {
        frames.extend(guises(site, port, SYN));
    }
    site.left_to_the_kernel(&frames);
}

fn a_lease_lets_every_guise_through_until_it_is_revoked(site: &mut Site) {
    let letmein = |site: &mut Site, verb: &str| {
        for server in ["10.77.1.1", "fd77:1::1"] {
            let arguments = [verb, "gate", "ssh", "-T"];
            let code = site.gate.letmein(&site.lab.client, server, &KEY, &arguments);
            assert_eq!(code.unwrap(), 0);
        }
        site.send(&[]);
    };
    letmein(site, "knock");
    let frames = guises(site, SSH, SYN);
    site.left_to_the_kernel(&frames);
    // Another address, and another port: that of the resource nobody may open.
    let stranger = Ipv4 {
        source: [10, 77, 1, 3].into(),
        ..plain_v4()
    };
    let segment = tcp(([10, 77, 1, 3], 20_000).into(), (SERVER_V4, SSH).into(), SYN);
    let stranger = site.tcp_v4(&stranger, &segment);
    let elsewhere = site.plain_tcp(Family::V6, 23, SYN);
    site.dropped("shield", &[stranger, elsewhere]);
    letmein(site, "revoke");
    let frames = guises(site, SSH, SYN);
    site.dropped("shield", &frames);
}

/// The first 16 bytes of a segment have the flags, the last 4 are in a piece of their own.
fn a_syn_in_pieces_is_dropped_and_later_pieces_pass(site: &mut Site) {
    for port in [SSH, OTHER] {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for identification in [1, 2] {
            let segment = site.segment(Family::V4, port, SYN);
            first.push(piece_v4(site, identification, &segment, 0, 16));
            last.push(piece_v4(site, identification, &segment, 16, 20));
            let segment = site.segment(Family::V6, port, SYN);
            first.push(piece_v6(site, identification, &segment, 0, 16));
            last.push(piece_v6(site, identification, &segment, 16, 20));
        }
        if port == SSH {
            site.dropped("shield", &first);
        } else {
            site.left_to_the_kernel(&first);
        }
        site.left_to_the_kernel(&last);
    }
}

fn a_piece_without_flags_is_dropped_if_it_is_for_a_protected_port(site: &mut Site) {
    for port in [SSH, OTHER] {
        let mut first = Vec::new();
        for flags in [SYN, ACK] {
            let segment = site.segment(Family::V4, port, flags);
            let piece = piece_v4(site, 3, &segment, 0, 8);
            // What is behind the packet's end looks like an ACK.
            let padded = [&piece[..], &[ACK; 20]].concat();
            first.extend([piece, padded]);
            let segment = site.segment(Family::V6, port, flags);
            let piece = piece_v6(site, 3, &segment, 0, 8);
            let padded = [&piece[..], &[ACK; 20]].concat();
            first.extend([piece, padded]);
        }
        if port == SSH {
            site.dropped("fragment", &first);
        } else {
            site.left_to_the_kernel(&first);
        }
    }
}

/// The kernel shortens a fragment to a multiple of 8 bytes. What looks like flags behind that comes in the next fragment.
fn bytes_that_the_kernel_cuts_off_a_piece_are_not_read(site: &mut Site) {
    let mut frames = Vec::new();
    for length in 14..16 {
        let header = Ipv4 {
            fragmentation: MORE_FRAGMENTS,
            ..plain_v4()
        };
        let harmless = site.segment(Family::V4, SSH, ACK);
        frames.push(site.tcp_v4(&header, &harmless[..length]));
    }
    site.dropped("fragment", &frames);
}

fn a_chain_that_hides_the_ports_is_dropped(site: &mut Site) {
    let mut frames = Vec::new();
    let segment = site.segment(Family::V6, SSH, SYN);
    let long = Ipv6 {
        extensions: vec![options(DESTINATION_OPTIONS, 1); 9],
        ..plain_v6()
    };
    frames.push(site.tcp_v6(&long, &segment));
    let nowhere = Ipv6 {
        extensions: vec![options(DESTINATION_OPTIONS, 1)],
        ..plain_v6()
    };
    for length in 0..4 {
        frames.push(site.tcp_v6(&nowhere, &segment[..length]));
    }
    site.dropped("header-chain", &frames);
}

/// No kernel takes such a segment, nor does it say anything about it.
fn a_segment_cut_before_its_flags_is_dropped(site: &mut Site) {
    for (port, family) in [SSH, OTHER]
        .into_iter()
        .flat_map(|port| FAMILIES.map(|family| (port, family)))
    {
        let whole = site.plain_tcp(family, port, SYN);
        let ports_end = whole.len() - 16;
        let cut: Vec<_> = (ports_end..ports_end + 10)
            .map(|length| whole[..length].to_vec())
            .collect();
        if port == SSH {
            site.dropped("truncated", &cut);
        } else {
            site.left_to_the_kernel(&cut);
        }
        site.left_to_the_kernel(&[whole[..ports_end - 1].to_vec()]);
    }
}

fn datagrams_to_a_protected_port_are_left_to_the_firewall(site: &mut Site) {
    let frames = FAMILIES.map(|family| {
        let from = (family.client(), site.port()).into();
        let datagram = udp(from, (family.server(), SSH).into(), &[SYN; 40]);
        match family {
            Family::V4 => site.link.frame(IPV4, &plain_v4().packet(UDP, &datagram)),
            Family::V6 => site.link.frame(IPV6, &plain_v6().packet(UDP, &datagram)),
        }
    });
    site.left_to_the_kernel(&frames);
}

/// The bytes of `segment` from `at`, a multiple of 8, to `end`.
fn piece_v4(site: &Site, identification: u16, segment: &[u8], at: usize, end: usize) -> Vec<u8> {
    let more = if end < segment.len() { MORE_FRAGMENTS } else { 0 };
    let header = Ipv4 {
        fragmentation: u16::try_from(at / 8).unwrap() | more,
        identification,
        ..plain_v4()
    };
    site.tcp_v4(&header, &segment[at..end])
}

fn piece_v6(site: &Site, identification: u16, segment: &[u8], at: usize, end: usize) -> Vec<u8> {
    let units = u16::try_from(at / 8).unwrap();
    let header = Ipv6 {
        extensions: vec![fragment(units, end < segment.len(), identification)],
        ..plain_v6()
    };
    site.tcp_v6(&header, &segment[at..end])
}
