//! Knocks that are cut short, at every length that an interface sends.

use crate::{
    extensions::{self, DESTINATION_OPTIONS, HOP_BY_HOP},
    modes::native_and_generic,
    network::{CLIENT_V4, CLIENT_V6, Family, SERVER_V4, SERVER_V6},
    site::Site,
};
use letmein_common::wire::challenge::LEN;
use letmein_tests::frames::{CUSTOMER, ETHERNET_LEN, IPV4, IPV6, Ipv4, Ipv6, PROVIDER, Tag, UDP};
use std::ops::Range;

native_and_generic!(with_their_lengths_left_as_they_were, with_lengths_that_fit);

/// A UDP header and a knock.
const DATAGRAM: usize = 8 + LEN;

/// Cut in the UDP payload it is for the gate, and truncated. Cut before that it is nobody's, but for a chain of
/// extension headers that leads nowhere.
fn with_their_lengths_left_as_they_were(site: &mut Site) {
    for Knock { whole, chain } in knocks(site) {
        let udp = whole.len() - DATAGRAM;
        let cut =
            |lengths: Range<usize>| -> Vec<_> { lengths.map(|length| whole[..length].to_vec()).collect() };
        site.left_to_the_kernel(&cut(ETHERNET_LEN..udp + 8 - chain));
        site.dropped("header-chain", &cut(udp + 8 - chain..udp + 8));
        site.dropped("truncated", &cut(udp + 8..whole.len()));
        site.opened(&[whole]);
    }
}

/// As if the sender had meant it: a payload of another length than a knock's, or a header that is cut short.
fn with_lengths_that_fit(site: &mut Site) {
    for family in [Family::V4, Family::V6] {
        let knock = site.knock();
        let short: Vec<_> = (0..LEN)
            .map(|length| site.plain(family, &knock[..length]))
            .collect();
        site.dropped("length", &short);
        let whole = site.datagram(family, &knock);
        let headers = (0..8).map(|length| site.carry(family, &whole[..length]));
        let headers: Vec<_> = headers.collect();
        site.dropped("truncated", &headers);
        site.opened(&[site.carry(family, &whole)]);
    }
}

/// A genuine knock.
struct Knock {
    whole: Vec<u8>,
    /// Length of the IPv6 extension headers and of the UDP header behind them; 0 if there are none.
    chain: usize,
}

/// Plain, and with all that may come before a knock.
fn knocks(site: &mut Site) -> Vec<Knock> {
    let mut datagram = |family| {
        let knock = site.knock();
        site.datagram(family, &knock)
    };
    let [plain, behind_options, tagged] = [(); 3].map(|()| datagram(Family::V4));
    let [plain_v6, chained, tagged_v6] = [(); 3].map(|()| datagram(Family::V6));
    let v4 = Ipv4::new(CLIENT_V4, SERVER_V4);
    let v6 = Ipv6::new(CLIENT_V6, SERVER_V6);
    let mut options = v4.clone();
    options.options = vec![1; 12];
    let mut chain = v6.clone();
    chain.extensions = [HOP_BY_HOP, DESTINATION_OPTIONS]
        .map(|number| extensions::options(number, 1))
        .into();
    // Priority tags: the kernel takes them off without a VLAN interface.
    let [outer, inner] = [PROVIDER, CUSTOMER].map(|kind| Tag { kind, vlan: 0 });
    let in_two_tags = site
        .link
        .tagged(&[outer, inner], IPV6, &v6.packet(UDP, &tagged_v6));
    let unchained = |whole| Knock { whole, chain: 0 };
    vec![
        unchained(site.carry_v4(&v4, &plain)),
        unchained(site.carry_v4(&options, &behind_options)),
        unchained(site.link.tagged(&[inner], IPV4, &v4.packet(UDP, &tagged))),
        unchained(site.carry_v6(&v6, &plain_v6)),
        Knock {
            whole: site.carry_v6(&chain, &chained),
            chain: 8 + 8 + 8,
        },
        unchained(in_two_tags),
    ]
}
