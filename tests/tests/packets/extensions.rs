//! IPv6 extension headers.

use crate::{
    fragments::{FRAGMENT, fragment},
    modes::native_and_generic,
    network::{CLIENT_V6, Family, SERVER_V6},
    site::Site,
};
use letmein_tests::frames::{Extension, IPV6, Ipv6, TCP, UDP, udp};

native_and_generic!(
    a_knock_passes_behind_a_chain,
    a_forged_knock_is_found_behind_a_chain,
    a_chain_that_is_too_long_is_dropped,
    a_chain_that_leads_out_of_the_packet_is_dropped,
    nothing_is_read_behind_the_end_of_the_packet,
    of_a_packet_without_a_length_all_of_the_frame_is_read,
    what_the_kernel_will_not_follow_is_counted_all_the_same,
    other_headers_are_left_to_the_kernel,
);

pub const HOP_BY_HOP: u8 = 0;
pub const ROUTING: u8 = 43;
pub const AUTHENTICATION: u8 = 51;
pub const DESTINATION_OPTIONS: u8 = 60;
/// An option for experiments (RFC 4727), to be skipped by who does not know it.
const SKIPPED_OPTION: u8 = 0x1E;
const ICMPV6: u8 = 58;
/// What the XDP program follows.
const LONGEST: usize = 8;

/// Options of this many units of 8 bytes, at least one.
pub fn options(number: u8, units: u8) -> Extension {
    let mut bytes = vec![0, units - 1];
    let mut left = usize::from(units) * 8 - 2;
    while left > 0 {
        // An option has two bytes in front and at most 255 behind them; never leave a single byte over.
        let length = match left - 2 {
            length @ 0..=255 => length,
            _ => 200,
        };
        bytes.extend([SKIPPED_OPTION, u8::try_from(length).unwrap()]);
        bytes.resize(bytes.len() + length, 0);
        left -= 2 + length;
    }
    Extension { number, bytes }
}

/// A routing header whose route has been travelled.
fn routing() -> Extension {
    const EXPERIMENT: u8 = 253;
    Extension {
        number: ROUTING,
        bytes: vec![0, 0, EXPERIMENT, 0, 0, 0, 0, 0],
    }
}

/// An authentication header of this many words, at least three.
fn authentication(words: u8) -> Extension {
    let mut bytes = vec![0; usize::from(words) * 4];
    bytes[1] = words - 2;
    Extension {
        number: AUTHENTICATION,
        bytes,
    }
}

/// What a kernel without any configuration goes along.
fn ordinary_chains() -> Vec<Vec<Extension>> {
    let mut chains = vec![
        vec![options(HOP_BY_HOP, 1)],
        vec![routing()],
        vec![options(DESTINATION_OPTIONS, 1)],
        vec![options(HOP_BY_HOP, 1), routing(), options(DESTINATION_OPTIONS, 3)],
    ];
    chains.extend((1..=LONGEST).map(|length| vec![options(DESTINATION_OPTIONS, 1); length]));
    chains.extend([20, 60, 100].map(|units| vec![options(DESTINATION_OPTIONS, units)]));
    chains.push(vec![options(DESTINATION_OPTIONS, 20); LONGEST]);
    chains
}

pub fn chained(site: &mut Site, extensions: Vec<Extension>, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6 {
        extensions,
        ..Ipv6::new(CLIENT_V6, SERVER_V6)
    };
    let datagram = site.datagram(Family::V6, payload);
    site.carry_v6(&header, &datagram)
}

fn behind_each(
    site: &mut Site,
    chains: Vec<Vec<Extension>>,
    knock: fn(&mut Site) -> Vec<u8>,
) -> Vec<Vec<u8>> {
    chains
        .into_iter()
        .map(|chain| {
            let knock = knock(site);
            chained(site, chain, &knock)
        })
        .collect()
}

fn a_knock_passes_behind_a_chain(site: &mut Site) {
    let frames = behind_each(site, ordinary_chains(), Site::knock);
    site.opened(&frames);
}

fn a_forged_knock_is_found_behind_a_chain(site: &mut Site) {
    let mut chains = ordinary_chains();
    chains.extend((3..20).map(|words| vec![authentication(words)]));
    chains.push(vec![
        authentication(5),
        options(DESTINATION_OPTIONS, 2),
        routing(),
    ]);
    let frames = behind_each(site, chains, Site::forged);
    site.dropped("auth", &frames);
}

fn a_chain_that_is_too_long_is_dropped(site: &mut Site) {
    let lengths = [LONGEST + 1, LONGEST + 2, 20, 100];
    let chains = lengths.map(|length| vec![options(DESTINATION_OPTIONS, 1); length]);
    let mut frames = behind_each(site, chains.clone().into(), Site::knock);
    frames.extend(behind_each(site, chains.into(), Site::forged));
    site.dropped("header-chain", &frames);
}

/// The last extension header says that it is longer than the packet.
fn a_chain_that_leads_out_of_the_packet_is_dropped(site: &mut Site) {
    let mut frames = Vec::new();
    for number in [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, AUTHENTICATION] {
        for before in [0, 1, LONGEST - 1] {
            let mut chain = vec![options(DESTINATION_OPTIONS, 1); before];
            chain.push(Extension {
                number,
                bytes: vec![0, 0xFF, 0, 0, 0, 0, 0, 0],
            });
            let knock = site.knock();
            frames.push(chained(site, chain, &knock));
        }
    }
    site.dropped("header-chain", &frames);
}

/// The payload ends within the chain, and in the padding of the frame the chain goes on to another port, or to nothing that
/// has ports. If the first piece of a packet is like that, the real rest comes in the next piece.
fn nothing_is_read_behind_the_end_of_the_packet(site: &mut Site) {
    let mut frames = Vec::new();
    for chain in [
        vec![options(DESTINATION_OPTIONS, 1)],
        vec![options(HOP_BY_HOP, 1), options(DESTINATION_OPTIONS, 3)],
        vec![fragment(0, true, 1), options(DESTINATION_OPTIONS, 1)],
        vec![fragment(0, true, 2), fragment(1, false, 2)],
    ] {
        let length = |chain: &[Extension]| chain.iter().map(|extension| extension.bytes.len()).sum::<usize>();
        let all = length(&chain);
        let mut cuts = Vec::new();
        for protocol in [UDP, TCP, ICMPV6] {
            cuts.extend([(protocol, length(&chain[..chain.len() - 1])), (protocol, all - 1)]);
        }
        // Within the ports. A later piece has none.
        if chain.last().unwrap().number != FRAGMENT {
            cuts.extend([(UDP, all), (UDP, all + 7), (TCP, all), (TCP, all + 3)]);
        }
        for (protocol, length) in cuts {
            let header = Ipv6 {
                extensions: chain.clone(),
                length: Some(u16::try_from(length).unwrap()),
                ..Ipv6::new(CLIENT_V6, SERVER_V6)
            };
            let knock = site.knock();
            let elsewhere = udp((CLIENT_V6, 7).into(), (SERVER_V6, 443).into(), &knock);
            frames.push(site.link.frame(IPV6, &header.packet(protocol, &elsewhere)));
        }
    }
    site.dropped("header-chain", &frames);
}

/// A payload length of 0 before hop-by-hop options stands for a jumbogram; without the option that says how long it is,
/// the kernel takes the whole frame.
fn of_a_packet_without_a_length_all_of_the_frame_is_read(site: &mut Site) {
    for (knock, genuine) in [
        (Site::knock as fn(&mut Site) -> Vec<u8>, true),
        (Site::forged, false),
    ] {
        let knock = knock(site);
        let datagram = site.datagram(Family::V6, &knock);
        let header = Ipv6 {
            extensions: vec![options(HOP_BY_HOP, 1)],
            length: Some(0),
            ..Ipv6::new(CLIENT_V6, SERVER_V6)
        };
        let frames = [site.carry_v6(&header, &datagram)];
        if genuine {
            site.opened(&frames);
        } else {
            site.dropped("auth", &frames);
        }
    }
}

/// Hop-by-hop options that are not the first, and an authentication header that nobody has agreed upon.
fn what_the_kernel_will_not_follow_is_counted_all_the_same(site: &mut Site) {
    let chains = vec![
        vec![options(DESTINATION_OPTIONS, 1), options(HOP_BY_HOP, 1)],
        vec![authentication(6)],
    ];
    let frames = behind_each(site, chains, Site::knock);
    assert_eq!(site.let_in(&frames), 0);
}

fn other_headers_are_left_to_the_kernel(site: &mut Site) {
    let mut frames = Vec::new();
    // TCP, ESP, ICMPv6, no next header, SCTP, UDP-Lite, mobility, HIP, Shim6, two for experiments.
    for number in [6, 50, 58, 59, 132, 136, 135, 139, 140, 253, 254] {
        let knock = site.knock();
        let datagram = site.datagram(Family::V6, &knock);
        let mut header = Ipv6::new(CLIENT_V6, SERVER_V6);
        frames.push(site.link.frame(IPV6, &header.packet(number, &datagram)));
        header.extensions = vec![options(DESTINATION_OPTIONS, 1); LONGEST];
        frames.push(site.link.frame(IPV6, &header.packet(number, &datagram)));
        let unknown = Extension {
            number,
            bytes: vec![0; 8],
        };
        frames.push(chained(site, vec![unknown], &knock));
    }
    site.left_to_the_kernel(&frames);
}
