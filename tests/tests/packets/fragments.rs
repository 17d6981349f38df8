//! Fragments. The first one has the ports, so one to the control port is dropped; without it the kernel completes
//! nothing.

use crate::{
    craft::pattern,
    extensions::{DESTINATION_OPTIONS, options},
    modes::native_and_generic,
    network::{CLIENT_V4, CLIENT_V6, CONTROL_PORT, FAMILIES, Family, SERVER_V4, SERVER_V6},
    site::{Counts, Site},
};
use letmein_common::wire::challenge::LEN;
use letmein_tests::frames::{Extension, IPV6, Ipv4, Ipv6, UDP};
use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

native_and_generic!(
    a_knock_in_two_pieces_opens_nothing,
    a_knock_that_claims_to_be_a_first_fragment_is_dropped,
    an_ipv6_packet_in_one_fragment_is_dropped,
    ports_beyond_the_first_fragment_do_not_help,
    flags_that_make_no_fragment_are_ignored,
    other_datagrams_are_put_together_again,
    large_datagrams_to_the_gate_are_dropped,
);

pub const FRAGMENT: u8 = 44;
const MORE_FRAGMENTS: u16 = 0x2000;
/// A UDP header and a knock.
const DATAGRAM: usize = 8 + LEN;

/// The bytes of `datagram` from `at` to `end`, which is in units of 8 bytes unless it is the last.
fn piece(
    site: &Site,
    family: Family,
    identification: u16,
    datagram: &[u8],
    at: usize,
    end: usize,
) -> Vec<u8> {
    let more = end < datagram.len();
    let units = u16::try_from(at / 8).unwrap();
    match family {
        Family::V4 => {
            let header = Ipv4 {
                fragmentation: units | if more { MORE_FRAGMENTS } else { 0 },
                identification,
                ..Ipv4::new(CLIENT_V4, SERVER_V4)
            };
            site.carry_v4(&header, &datagram[at..end])
        }
        Family::V6 => {
            let header = Ipv6 {
                extensions: vec![fragment(units, more, identification)],
                ..Ipv6::new(CLIENT_V6, SERVER_V6)
            };
            site.carry_v6(&header, &datagram[at..end])
        }
    }
}

pub fn fragment(units: u16, more: bool, identification: u16) -> Extension {
    let mut bytes = vec![0, 0];
    bytes.extend((units << 3 | u16::from(more)).to_be_bytes());
    bytes.extend([0xA5, 0xA5]);
    bytes.extend(identification.to_be_bytes());
    Extension {
        number: FRAGMENT,
        bytes,
    }
}

/// Wherever it is cut, and whichever piece comes first.
fn a_knock_in_two_pieces_opens_nothing(site: &mut Site) {
    for (family, in_order) in FAMILIES
        .into_iter()
        .flat_map(|family| [(family, true), (family, false)])
    {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for cut in (8..DATAGRAM).step_by(8) {
            let knock = site.knock();
            let datagram = site.datagram(family, &knock);
            let identification = site.port();
            first.push(piece(site, family, identification, &datagram, 0, cut));
            last.push(piece(site, family, identification, &datagram, cut, DATAGRAM));
        }
        if in_order {
            site.dropped("fragment", &first);
        }
        site.left_to_the_kernel(&last);
        if !in_order {
            site.dropped("fragment", &first);
        }
    }
}

fn a_knock_that_claims_to_be_a_first_fragment_is_dropped(site: &mut Site) {
    let mut frames = Vec::new();
    for knock in [Site::knock, Site::forged] {
        let knock = knock(site);
        let mut datagram = site.datagram(Family::V4, &knock);
        datagram.push(0);
        frames.push(piece(site, Family::V4, 7, &datagram, 0, DATAGRAM));
        frames.push(piece(site, Family::V6, 7, &datagram, 0, DATAGRAM));
    }
    site.dropped("fragment", &frames);
}

/// It would be complete ("atomic", RFC 6946), but no client sends it.
fn an_ipv6_packet_in_one_fragment_is_dropped(site: &mut Site) {
    let frames = [Site::knock, Site::forged].map(|knock| {
        let knock = knock(site);
        let datagram = site.datagram(Family::V6, &knock);
        piece(site, Family::V6, 8, &datagram, 0, DATAGRAM)
    });
    site.dropped("fragment", &frames);
}

/// The first fragment ends within the chain of headers. RFC 8200 has the receiver throw it away.
fn ports_beyond_the_first_fragment_do_not_help(site: &mut Site) {
    let header = |units, more| Ipv6 {
        extensions: vec![fragment(units, more, 9)],
        ..Ipv6::new(CLIENT_V6, SERVER_V6)
    };
    let mut option = options(DESTINATION_OPTIONS, 1).bytes;
    option[0] = UDP;
    let knock = site.knock();
    let rest = site.datagram(Family::V6, &knock);
    let first = header(0, true).packet(DESTINATION_OPTIONS, &option);
    let last = header(1, false).packet(DESTINATION_OPTIONS, &rest);
    site.dropped("header-chain", &[site.link.frame(IPV6, &first)]);
    site.left_to_the_kernel(&[site.link.frame(IPV6, &last)]);
}

fn flags_that_make_no_fragment_are_ignored(site: &mut Site) {
    const RESERVED: u16 = 0x8000;
    const DO_NOT_FRAGMENT: u16 = 0x4000;
    let frames = [RESERVED, DO_NOT_FRAGMENT, RESERVED | DO_NOT_FRAGMENT].map(|fragmentation| {
        let knock = site.knock();
        let datagram = site.datagram(Family::V4, &knock);
        let header = Ipv4 {
            fragmentation,
            ..Ipv4::new(CLIENT_V4, SERVER_V4)
        };
        site.carry_v4(&header, &datagram)
    });
    site.opened(&frames);
}

/// The client's own kernel cuts the datagram, the server's puts it together.
fn other_datagrams_are_put_together_again(site: &mut Site) {
    for family in FAMILIES {
        let server = SocketAddr::new(family.server(), CONTROL_PORT + 1);
        let listener = site
            .lab
            .server
            .enter(|| UdpSocket::bind(server))
            .unwrap()
            .unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for length in [1473_usize, 4000, 20_000] {
            let sent = pattern(length);
            send_from_client(site, family, server, &sent);
            let mut received = vec![0; length + 1];
            let count = listener.recv(&mut received).unwrap();
            assert!(
                received[..count] == sent,
                "{count} of {length} bytes, or not the same"
            );
        }
    }
    assert_eq!(site.counts(), Counts::new());
}

fn large_datagrams_to_the_gate_are_dropped(site: &mut Site) {
    for family in FAMILIES {
        let server = SocketAddr::new(family.server(), CONTROL_PORT);
        for length in [1473, 4000, 20_000] {
            send_from_client(site, family, server, &vec![0x5A; length]);
        }
        // Whatever the client's kernel sent comes before these.
        let seen = site.send(&[]);
        assert_eq!(seen.answers, []);
    }
    assert_eq!(site.counts(), [("fragment".to_owned(), 6)].into());
}

fn send_from_client(site: &Site, family: Family, to: SocketAddr, payload: &[u8]) {
    let client = SocketAddr::new(family.client(), 0);
    let socket = site
        .lab
        .client
        .enter(|| UdpSocket::bind(client))
        .unwrap()
        .unwrap();
    assert_eq!(socket.send_to(payload, to).unwrap(), payload.len());
}
