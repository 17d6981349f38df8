//! IPv4 headers with options.

use crate::{
    modes::native_and_generic,
    network::{CLIENT_V4, CONTROL_PORT, Family, SERVER_V4},
    site::Site,
};
use letmein_common::wire::challenge::LEN;
use letmein_tests::frames::{Ipv4, udp};

native_and_generic!(
    a_knock_passes_behind_options,
    a_forged_knock_is_found_behind_options,
    options_that_look_like_the_gates_header_are_none,
);

const END: u8 = 0;
const NOTHING: u8 = 1;
const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];

/// Options of every length that there is, from one word to ten.
fn all_lengths() -> impl Iterator<Item = Vec<u8>> {
    let nothing = (1..=10).map(|words| vec![NOTHING; words * 4]);
    let end = (1..=10).map(|words| vec![END; words * 4]);
    let alert = (0..10).map(|words| [ROUTER_ALERT.to_vec(), vec![NOTHING; words * 4]].concat());
    nothing.chain(end).chain(alert)
}

fn behind_options(site: &mut Site, knock: fn(&mut Site) -> Vec<u8>) -> Vec<Vec<u8>> {
    all_lengths()
        .map(|options| {
            let knock = knock(site);
            let datagram = site.datagram(Family::V4, &knock);
            let header = Ipv4 {
                options,
                ..Ipv4::new(CLIENT_V4, SERVER_V4)
            };
            site.carry_v4(&header, &datagram)
        })
        .collect()
}

fn a_knock_passes_behind_options(site: &mut Site) {
    let frames = behind_options(site, Site::knock);
    site.opened(&frames);
}

fn a_forged_knock_is_found_behind_options(site: &mut Site) {
    let frames = behind_options(site, Site::forged);
    site.dropped("auth", &frames);
}

/// A program that took every header for 20 bytes would find the control port in the options, or another port in front
/// of it.
fn options_that_look_like_the_gates_header_are_none(site: &mut Site) {
    let from = (CLIENT_V4, site.port()).into();
    let lookalike = |port: u16| Ipv4 {
        options: udp(from, (SERVER_V4, port).into(), &[0; LEN])[..8].to_vec(),
        ..Ipv4::new(CLIENT_V4, SERVER_V4)
    };
    let knock = site.knock();
    let elsewhere = udp(from, (SERVER_V4, CONTROL_PORT + 1).into(), &knock);
    site.left_to_the_kernel(&[site.carry_v4(&lookalike(CONTROL_PORT), &elsewhere)]);
    let forged = site.forged();
    let datagram = site.datagram(Family::V4, &forged);
    site.dropped("auth", &[site.carry_v4(&lookalike(CONTROL_PORT + 1), &datagram)]);
}
