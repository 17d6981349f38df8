//! Knocks that are cut short, at every length that an interface sends.

use crate::{
    modes::native_and_generic,
    site::{CLIENT_V4, CLIENT_V6, Family, SERVER_V4, SERVER_V6, Site},
};
use letmein_common::wire::challenge::LEN;
use letmein_tests::frames::{CUSTOMER, ETHERNET_LEN, Extension, IPV4, IPV6, Ipv4, Ipv6, PROVIDER, Tag, UDP};

native_and_generic!(with_their_lengths_left_as_they_were, with_lengths_that_fit);

/// A UDP header and a knock.
const DATAGRAM: usize = 8 + LEN;

/// Cut in the UDP payload it is for the gate, and truncated; cut before that it is nobody's.
fn with_their_lengths_left_as_they_were(site: &mut Site) {
    for whole in knocks(site) {
        let udp = whole.len() - DATAGRAM;
        let cut = |length: usize| whole[..length].to_vec();
        site.left_to_the_kernel(&(ETHERNET_LEN..udp + 8).map(cut).collect::<Vec<_>>());
        site.dropped("truncated", &(udp + 8..whole.len()).map(cut).collect::<Vec<_>>());
        site.opened(&[whole]);
    }
}

/// As if the sender had meant it: a payload of another length than a knock's.
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
        site.left_to_the_kernel(&headers);
        site.opened(&[site.carry(family, &whole)]);
    }
}

/// Genuine knocks, plain and with all that may come before them.
fn knocks(site: &mut Site) -> Vec<Vec<u8>> {
    let mut datagram = |family| {
        let knock = site.knock();
        site.datagram(family, &knock)
    };
    let [plain, optional, tagged] = [(); 3].map(|()| datagram(Family::V4));
    let [plain_v6, chained, tagged_v6] = [(); 3].map(|()| datagram(Family::V6));
    let v4 = Ipv4::new(CLIENT_V4, SERVER_V4);
    let v6 = Ipv6::new(CLIENT_V6, SERVER_V6);
    let mut options = v4.clone();
    options.options = vec![1; 12];
    let mut chain = v6.clone();
    chain.extensions = [0, 60]
        .map(|number| Extension {
            number,
            bytes: vec![0, 0, 1, 4, 0, 0, 0, 0],
        })
        .into();
    // Priority tags: the kernel takes them off without a VLAN interface.
    let tag = |kind| Tag { kind, vlan: 0 };
    vec![
        site.carry_v4(&v4, &plain),
        site.carry_v4(&options, &optional),
        site.link.tagged(&[tag(CUSTOMER)], IPV4, &v4.packet(UDP, &tagged)),
        site.carry_v6(&v6, &plain_v6),
        site.carry_v6(&chain, &chained),
        site.link
            .tagged(&[tag(PROVIDER), tag(CUSTOMER)], IPV6, &v6.packet(UDP, &tagged_v6)),
    ]
}
