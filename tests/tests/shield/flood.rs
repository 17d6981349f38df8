//! SYNs from very many addresses that nobody has.

use crate::scene::{Scene, V4, shielded, syns};
use letmein_tests::{
    frames::{IPV4, Ipv4, Link, TCP, tcp},
    gate::Gate,
    lab::Outcome,
    tap::Tap,
};
use std::{
    net::Ipv4Addr,
    thread::sleep,
    time::{Duration, Instant},
};

const SYNS: u32 = 20_000;
/// On their way at one time: a veth pair holds 256.
const AT_ONCE: u32 = 200;
const SYN: u8 = 0x02;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);

fn every_one_is_counted_and_none_arrives(xdp: &str) {
    let scene = Scene::new();
    let mut gate = Gate::start(&scene.lab.server, &format!("xdp = \"{xdp}\""), "", "1h").unwrap();
    let attacker = Tap::open(&scene.lab.other, "to-server").unwrap();
    let mut tap = scene.watch_other();
    let link = Link {
        source: attacker.address(),
        destination: tap.address(),
    };
    scene.knock(&gate, V4);
    let mut arrived = 0;
    for number in 0..SYNS {
        // All over the address space, none of them twice.
        let source = Ipv4Addr::from(number.wrapping_mul(0x9E37_79B1) | 1 << 24);
        let segment = tcp((source, 40_000).into(), (SERVER, 22).into(), SYN);
        let packet = Ipv4::new(source, SERVER).packet(TCP, &segment);
        attacker.send(&link.frame(IPV4, &packet)).unwrap();
        if (number + 1) % AT_ONCE == 0 {
            let deadline = Instant::now() + Duration::from_secs(20);
            while shielded(&mut gate) < u64::from(number) + 1 {
                assert!(Instant::now() < deadline, "{} of {number}", shielded(&mut gate));
                sleep(Duration::from_millis(1));
            }
            arrived += syns(&mut tap);
        }
        if (number + 1) % (SYNS / 10) == 0 {
            assert_eq!(scene.client_meets(V4), Outcome::Open);
        }
    }
    assert_eq!(arrived, 0);
    assert_eq!(shielded(&mut gate), u64::from(SYNS));
}

#[test]
fn native() {
    every_one_is_counted_and_none_arrives("native");
}

#[test]
fn generic() {
    every_one_is_counted_and_none_arrives("generic");
}
