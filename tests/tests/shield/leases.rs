//! The life of a lease, as the shield has it.

use crate::scene::{Family, Scene, V4, V6, letmein, shielded, syns};
use letmein_tests::{
    gate::Gate,
    lab::{Lab, Outcome},
    nft::leases,
};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread::sleep,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn a_lease_opens_for_its_address_only(xdp: &str, family: Family) {
    let scene = Scene::new();
    let mut gate = Gate::start(&scene.lab.server, &format!("xdp = \"{xdp}\""), "", "1h").unwrap();
    let (mut from_client, mut from_other) = (scene.watch_client(), scene.watch_other());
    assert_eq!(scene.client_meets(family), Outcome::Silent);
    assert_eq!(syns(&mut from_client), 0);
    let before = shielded(&mut gate);
    assert!(before > 0);

    scene.knock(&gate, family);
    assert_eq!(scene.client_meets(family), Outcome::Open);
    assert_eq!(syns(&mut from_client), 1);
    assert_eq!(shielded(&mut gate), before);
    assert_eq!(scene.other_meets(family), Outcome::Silent);
    assert_eq!(syns(&mut from_other), 0);
    let before = shielded(&mut gate);

    scene.revoke(&gate, family);
    assert_eq!(scene.client_meets(family), Outcome::Silent);
    assert_eq!(syns(&mut from_client), 0);
    assert!(shielded(&mut gate) > before);
}

#[test]
fn native_ipv4() {
    a_lease_opens_for_its_address_only("native", V4);
}

#[test]
fn native_ipv6() {
    a_lease_opens_for_its_address_only("native", V6);
}

#[test]
fn generic_ipv4() {
    a_lease_opens_for_its_address_only("generic", V4);
}

#[test]
fn generic_ipv6() {
    a_lease_opens_for_its_address_only("generic", V6);
}

/// Guests are in while nftables holds their lease, and the shield closes when it is over.
#[test]
fn the_end_of_a_lease_closes_the_shield() {
    let scene = Scene::new();
    let mut gate = Gate::start(&scene.lab.server, "", "", "2s").unwrap();
    let mut tap = scene.watch_client();
    for _ in 0..2 {
        scene.knock(&gate, V4);
        // An attempt that nftables would have let in, because the lease was still there after it, came in.
        loop {
            let outcome = scene.client_meets(V4);
            if leases(&scene.lab.server, "letmein", "leases4")
                .unwrap()
                .is_empty()
            {
                break;
            }
            assert_eq!(outcome, Outcome::Open);
            // Nobody accepts the connections, of which a socket keeps a hundred.
            sleep(Duration::from_millis(50));
        }
        sleep(Duration::from_millis(200));
        syns(&mut tap);
        let before = shielded(&mut gate);
        assert_eq!(scene.client_meets(V4), Outcome::Silent);
        assert_eq!(syns(&mut tap), 0);
        assert!(shielded(&mut gate) > before);
    }
}

/// A second knock counts from then on.
#[test]
fn a_refreshed_lease_keeps_the_shield_open() {
    let scene = Scene::new();
    let gate = Gate::start(&scene.lab.server, "", "", "3s").unwrap();
    scene.knock(&gate, V4);
    sleep(Duration::from_secs(2));
    scene.knock(&gate, V4);
    let refreshed = Instant::now();
    sleep(Duration::from_millis(1500));
    let outcome = scene.client_meets(V4);
    let late = refreshed.elapsed() > Duration::from_millis(2900);
    assert!(late || outcome == Outcome::Open, "{outcome:?}");
}

#[test]
fn an_open_connection_outlives_its_lease() {
    for family in [V4, V6] {
        let scene = Scene::new();
        let gate = Gate::start(&scene.lab.server, "", "", "1h").unwrap();
        scene.knock(&gate, family);
        let connect = || TcpStream::connect_timeout(&family.ssh(), PATIENCE);
        let mut near = scene.lab.client.enter(connect).unwrap().unwrap();
        let (mut far, _) = scene.service.accept().unwrap();
        exchange(&mut near, &mut far);
        scene.revoke(&gate, family);
        assert_eq!(scene.client_meets(family), Outcome::Silent);
        exchange(&mut near, &mut far);
        exchange(&mut far, &mut near);
    }
}

fn exchange(from: &mut TcpStream, to: &mut TcpStream) {
    to.set_read_timeout(Some(PATIENCE)).unwrap();
    from.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    to.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
}

/// The leases in nftables are in the shield before the program sees a packet.
#[test]
fn a_restart_keeps_guests_in() {
    let scene = Scene::new();
    let gate = Gate::start(&scene.lab.server, "", "", "1h").unwrap();
    scene.knock(&gate, V4);
    scene.knock(&gate, V6);
    gate.stop().unwrap();
    let mut gate = Gate::start(&scene.lab.server, "", "", "1h").unwrap();
    for family in [V4, V6] {
        assert_eq!(scene.client_meets(family), Outcome::Open);
    }
    assert_eq!(shielded(&mut gate), 0);
    assert_eq!(scene.other_meets(V4), Outcome::Silent);
    assert!(shielded(&mut gate) > 0);
    gate.kill().unwrap();
    // With fewer places than there are leases.
    let mut gate = Gate::start(&scene.lab.server, "", "max-leases = 1", "1h").unwrap();
    for family in [V4, V6] {
        assert_eq!(scene.client_meets(family), Outcome::Open);
    }
    assert_eq!(shielded(&mut gate), 0);
    scene.revoke(&gate, V4);
    assert_eq!(scene.client_meets(V4), Outcome::Silent);
    assert_eq!(scene.client_meets(V6), Outcome::Open);
}

/// Who was in for a moment takes no place from who comes now.
#[test]
fn ended_leases_make_way_in_the_shield() {
    let scene = Scene::new();
    let gate = Gate::start(&scene.lab.server, "", "max-leases = 1", "1s").unwrap();
    let Lab { client, other, .. } = &scene.lab;
    for round in 0..3 {
        for (host, server, ssh) in [
            (client, V4.server, V4.ssh()),
            (other, V4.server_of_other, V4.ssh_of_other()),
        ] {
            let deadline = Instant::now() + PATIENCE;
            while letmein(&gate, host, server, "knock") != 0 {
                assert!(
                    Instant::now() < deadline,
                    "round {round}: the place is still taken"
                );
                sleep(Duration::from_millis(50));
            }
            let knocked = Instant::now();
            let outcome = host.connect(ssh).unwrap();
            let late = knocked.elapsed() > Duration::from_millis(900);
            assert!(late || outcome == Outcome::Open, "round {round}: {outcome:?}");
        }
    }
}

/// Nor do its own rules ever count one.
#[test]
fn the_firewall_sees_no_attempt() {
    let scene = Scene::new();
    let _gate = Gate::start(&scene.lab.server, "", "", "1h").unwrap();
    let count = "add table inet eye; add chain inet eye in { type filter hook input priority -20; }; \
                 add rule inet eye in tcp dport 22 tcp flags & (syn | ack) == syn counter";
    scene.lab.server.run("nft", &[count]).unwrap();
    for family in [V4, V6] {
        assert_eq!(scene.client_meets(family), Outcome::Silent);
        assert_eq!(scene.other_meets(family), Outcome::Silent);
    }
    let seen = scene
        .lab
        .server
        .run("nft", &["list", "chain", "inet", "eye", "in"])
        .unwrap();
    assert!(seen.contains("counter packets 0 "), "{seen}");
}
