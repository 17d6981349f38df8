//! VLAN tags. Frames of a numbered VLAN reach the server's kernel, which hands them to that VLAN's interface if there
//! is one; number 0 is no VLAN but a priority, and the kernel takes such tags off by itself.

use crate::{
    modes::native_and_generic,
    network::{CLIENT_V4, CLIENT_V6, FAMILIES, Family, SERVER_V4, SERVER_V6},
    site::Site,
};
use letmein_tests::frames::{CUSTOMER, IPV4, IPV6, Ipv4, Ipv6, OLD_PROVIDER, PROVIDER, Tag, UDP, udp};

native_and_generic!(
    forged_knocks_are_dropped_inside_tags,
    genuine_knocks_pass_inside_tags,
    priority_tags_do_not_hinder_a_knock,
    other_traffic_in_tags_is_left_alone,
    no_number_of_priority_tags_gets_past_the_gate,
    more_tags_than_anybody_needs_are_dropped,
    a_frame_that_ends_within_a_tag_is_left_to_the_kernel,
);

/// Tags as providers and customers use them.
const FOLLOWED: [&[u16]; 8] = [
    &[CUSTOMER],
    &[PROVIDER],
    &[OLD_PROVIDER],
    &[PROVIDER, CUSTOMER],
    &[OLD_PROVIDER, CUSTOMER],
    &[CUSTOMER, CUSTOMER],
    &[PROVIDER, PROVIDER],
    &[OLD_PROVIDER, OLD_PROVIDER],
];

/// What the XDP program follows.
const MOST: usize = 8;

fn forged_knocks_are_dropped_inside_tags(site: &mut Site) {
    // Priority, drop eligibility and the number are of no interest.
    for vlan in [0, 7, 0x0FFF, 0xFFFF] {
        let frames = tagged(site, &FOLLOWED, vlan, Site::forged);
        site.dropped("auth", &frames);
    }
}

fn genuine_knocks_pass_inside_tags(site: &mut Site) {
    let frames = tagged(site, &FOLLOWED, 7, Site::knock);
    assert_eq!(site.let_in(&frames), 0, "answered although there is no such VLAN");
}

fn priority_tags_do_not_hinder_a_knock(site: &mut Site) {
    let kinds: [&[u16]; 3] = [&[CUSTOMER], &[PROVIDER], &[PROVIDER, CUSTOMER]];
    let frames = tagged(site, &kinds, 0, Site::knock);
    site.opened(&frames);
}

fn other_traffic_in_tags_is_left_alone(site: &mut Site) {
    let mut frames = Vec::new();
    for kinds in FOLLOWED {
        let tags: Vec<_> = kinds.iter().map(|kind| Tag { kind: *kind, vlan: 7 }).collect();
        let knock = site.knock();
        let from = (CLIENT_V4, site.port()).into();
        let elsewhere = udp(from, (SERVER_V4, 5801).into(), &knock);
        let v4 = Ipv4::new(CLIENT_V4, SERVER_V4);
        frames.push(site.link.tagged(&tags, IPV4, &v4.packet(UDP, &elsewhere)));
        // Not UDP, whatever its bytes.
        let to_the_gate = site.datagram(Family::V4, &knock);
        frames.push(site.link.tagged(&tags, IPV4, &v4.packet(132, &to_the_gate)));
        // Neither ARP nor anything else has ports.
        for ethertype in [0x0806, 0x88CC, 0x8847, 0x22F0] {
            frames.push(site.link.tagged(&tags, ethertype, &v4.packet(UDP, &to_the_gate)));
        }
    }
    site.left_to_the_kernel(&frames);
}

/// The kernel removes them one after the other, however many there are.
fn no_number_of_priority_tags_gets_past_the_gate(site: &mut Site) {
    let stacks: Vec<_> = (3..=MOST)
        .flat_map(|count| [vec![CUSTOMER; count], vec![PROVIDER; count]])
        .collect();
    let stacks: Vec<_> = stacks.iter().map(Vec::as_slice).collect();
    let frames = tagged(site, &stacks, 0, Site::forged);
    site.dropped("auth", &frames);
    let frames = tagged(site, &stacks, 0, Site::knock);
    site.opened(&frames);
}

fn more_tags_than_anybody_needs_are_dropped(site: &mut Site) {
    let stacks = [MOST + 1, MOST + 2, 40, 300].map(|count| vec![CUSTOMER; count]);
    let stacks: Vec<_> = stacks.iter().map(Vec::as_slice).collect();
    for vlan in [0, 7] {
        for knock in [Site::knock, Site::forged] {
            let frames = tagged(site, &stacks, vlan, knock);
            site.dropped("header-chain", &frames);
        }
    }
}

fn a_frame_that_ends_within_a_tag_is_left_to_the_kernel(site: &mut Site) {
    let mut frames = Vec::new();
    for count in [1, 2, MOST] {
        let tags = vec![
            Tag {
                kind: CUSTOMER,
                vlan: 0
            };
            count
        ];
        let frame = site.link.tagged(&tags, IPV4, &[]);
        frames.push(frame[..frame.len() - 2].to_vec());
    }
    site.left_to_the_kernel(&frames);
}

/// A knock of each family inside each of these stacks of tags.
fn tagged(site: &mut Site, stacks: &[&[u16]], vlan: u16, knock: fn(&mut Site) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for kinds in stacks {
        let tags: Vec<_> = kinds.iter().map(|kind| Tag { kind: *kind, vlan }).collect();
        for family in FAMILIES {
            let payload = knock(site);
            let datagram = site.datagram(family, &payload);
            frames.push(match family {
                Family::V4 => {
                    let packet = Ipv4::new(CLIENT_V4, SERVER_V4).packet(UDP, &datagram);
                    site.link.tagged(&tags, IPV4, &packet)
                }
                Family::V6 => {
                    let packet = Ipv6::new(CLIENT_V6, SERVER_V6).packet(UDP, &datagram);
                    site.link.tagged(&tags, IPV6, &packet)
                }
            });
        }
    }
    frames
}
