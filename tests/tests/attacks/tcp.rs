//! Connections to the TCP control port that are never completed, or completed and then used slowly.

use crate::{
    frames::source,
    scene::{CONTROL_OF_OTHER, Scene, flood_while},
};
use letmein_tests::{
    knocker::{Draft, Tcp},
    processes::{Usage, counted},
    wait::wait_until,
};
use std::{net::Ipv4Addr, thread::sleep, time::Duration};

const SYN: u8 = 0x02;
const HALF_OPEN: u32 = 20_000;
/// More than `max-connections`, each source with as many as it may have.
const SLOW_SOURCES: u32 = 100;
const EACH: u32 = 4;
const MOST: usize = 256;

/// A SYN from each of very many addresses, over and over. letmeind does not hear of them, and who completes a connection
/// is served.
#[test]
fn half_open_connections_keep_nobody_out() {
    let scene = Scene::new();
    let gate = scene.start("xdp = \"native\"");
    let attacker = scene.attacker();
    let control = CONTROL_OF_OTHER.parse().unwrap();
    let frames: Vec<_> = (0..HALF_OPEN)
        .map(|number| attacker.tcp(source(number), control, SYN))
        .collect();
    let before = Usage::of(&gate).unwrap();
    flood_while(&attacker, &frames, Vec::new, || {
        let segments = || counted(&scene.lab.server, "Tcp", "InSegs").unwrap();
        let start = segments();
        wait_until("it is a flood", || segments() > start + u64::from(HALF_OPEN));
        assert_eq!(Usage::of(&gate).unwrap().descriptors, before.descriptors);
        for _ in 0..3 {
            scene.a_guest_comes_and_goes(&gate, "-T");
        }
    });
}

/// Connections from very many addresses, each of which says a byte now and then, take the places that there are and no
/// more; a guest gets one all the same, and when their time is over all are free again.
#[test]
fn slow_connections_are_bounded_and_keep_nobody_out() {
    let scene = Scene::new();
    let gate = scene.start("control-timeout = \"4s\"");
    let before = Usage::of(&gate).unwrap().descriptors;
    // Every address of this network is the other host's.
    let words = ["route", "add", "local", "10.88.0.0/16", "dev", "lo"];
    scene.lab.other.run("ip", &words).unwrap();
    let mut slow: Vec<_> = (0..SLOW_SOURCES * EACH)
        .map(|number| {
            let source = Ipv4Addr::from(0x0A58_0001 + number / EACH);
            Tcp::new_from(&scene.lab.other, source.into(), CONTROL_OF_OTHER.parse().unwrap()).unwrap()
        })
        .collect();
    let message = Draft::default().sign();
    for byte in 0..4 {
        for connection in &mut slow {
            // Some have had to make way by now.
            let _closed = connection.send(&message[byte..=byte]);
        }
        // Who makes way is gone a moment after the next one has come.
        wait_until("no more are held than may be", || {
            Usage::of(&gate).unwrap().descriptors <= before + MOST
        });
        sleep(Duration::from_millis(200));
    }
    scene.a_guest_comes_and_goes(&gate, "-T");
    wait_until("all places are free again", || {
        Usage::of(&gate).unwrap().descriptors == before
    });
}
