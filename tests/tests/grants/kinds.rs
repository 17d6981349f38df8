//! The same for everything else that a knock opens: jumps, for one address and for all; prefixes of IPv6; ranges.

use crate::scene::{SERVER, SERVER_V6, Scene, assert_is_an_hour, assert_is_short};
use letmein_tests::{
    lab::Outcome::{Open, Silent},
    nft,
};
use std::net::UdpSocket;

const RULES: &str = "table inet filter {
    chain input { type filter hook input priority filter; policy drop;
        ct state established,related accept
        jump LETMEIN-INPUT;
    }
    chain MINE { tcp dport 22 accept;
    }
    chain LETMEIN-INPUT { }
}";

fn jump(options: &str, set: &str) {
    let scene = Scene::new();
    scene.lab.server.run("nft", &["flush", "ruleset"]).unwrap();
    scene.lab.server.run("nft", &[RULES]).unwrap();
    let resource = format!("jump-input = \"MINE\"\n{options}");
    let mut serving = scene.start(&scene.configuration("mode = \"chain\"", &resource));
    let left = || nft::leases(&scene.lab.server, "filter", set).unwrap()[0].left;
    assert_eq!(scene.port(SERVER), Silent);
    scene.knock("alice");
    scene.knock_for(&mut serving, "bob", SERVER, "2m");
    assert_is_an_hour(left());
    assert_eq!(scene.port(SERVER), Open);
    scene.revoke("alice");
    assert_is_short(left());
    assert_eq!(scene.port(SERVER), Open);
    serving.gate.kill().unwrap();
    let serving = scene.start(&scene.configuration("mode = \"chain\"", &resource));
    assert!(serving.holders().iter().all(|holder| holder == "bob"));
    assert_eq!(scene.port(SERVER), Open);
    scene.revoke("bob");
    assert_eq!(scene.port(SERVER), Silent);
}

#[test]
fn a_jump() {
    jump("", "letmein_jump4_00000001");
}

#[test]
fn a_jump_for_all() {
    jump("jump-for-all = [\"input\"]", "letmein_jump4_0_00000001");
}

/// From two addresses of one network, which are one lease.
#[test]
fn a_prefix_of_ipv6() {
    let scene = Scene::new();
    let mut serving = scene.start(&scene.configuration("", "ipv6-prefix = 64"));
    scene.letmein("alice", SERVER_V6, "knock", &[]);
    let address = ["addr", "add", "fd77:1::99/64", "dev", "to-server", "nodad"];
    scene.lab.client.run("ip", &address).unwrap();
    scene
        .lab
        .client
        .run("ip", &["addr", "del", "fd77:1::2/64", "dev", "to-server"])
        .unwrap();
    scene.knock_for(&mut serving, "bob", SERVER_V6, "2m");
    assert_is_an_hour(scene.left("leases6_64"));
    scene.letmein("alice", SERVER_V6, "revoke", &[]);
    assert_is_short(scene.left("leases6_64"));
    assert_eq!(scene.port(SERVER_V6), Open);
    scene.letmein("bob", SERVER_V6, "revoke", &[]);
    assert_eq!(scene.port(SERVER_V6), Silent);
}

#[test]
fn a_range_of_ports() {
    let scene = Scene::new();
    let mut serving = scene.start(&scene.configuration("", "ports = [\"udp/60000-60010\"]\ncut = true"));
    let service = scene
        .lab
        .server
        .enter(|| UdpSocket::bind("10.77.1.1:60005"))
        .unwrap()
        .unwrap();
    service
        .set_read_timeout(Some(std::time::Duration::from_millis(1500)))
        .unwrap();
    let reaches = || {
        let send = || {
            let socket = UdpSocket::bind("10.77.1.2:0").unwrap();
            let _refused = socket.send_to(b"?", "10.77.1.1:60005");
        };
        scene.lab.client.enter(send).unwrap();
        service.recv(&mut [0; 8]).is_ok()
    };
    scene.knock_for(&mut serving, "bob", SERVER, "2m");
    scene.knock("alice");
    assert_is_an_hour(scene.left("leases4_udp_60000-60010"));
    assert!(reaches());
    scene.revoke("alice");
    assert_is_short(scene.left("leases4_udp_60000-60010"));
    assert!(reaches());
    scene.revoke("bob");
    assert!(!reaches());
}
