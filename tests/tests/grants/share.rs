//! One user opens as much as there is room for, with forged sources: others get in all the same.

use crate::scene::{SERVER, SERVER_V6, Scene};
use letmein_tests::{
    lab::Outcome::{Open, Silent},
    silent::Draft,
    wait::wait_until,
};
use std::net::{Ipv4Addr, UdpSocket};

/// Many more than there may be leases, each from an address of its own.
fn greedy(scene: &Scene, user: u32) {
    scene
        .lab
        .client
        .run("ip", &["route", "replace", "local", "10.9.0.0/16", "dev", "lo"])
        .unwrap();
    let send = || {
        for number in 0..60_u8 {
            let draft = Draft {
                user,
                ..Draft::default()
            };
            let source = Ipv4Addr::new(10, 9, u8::try_from(user).unwrap(), number);
            let socket = UdpSocket::bind((source, 0)).unwrap();
            socket.send_to(&draft.seal(), (SERVER, 5800)).unwrap();
        }
    };
    scene.lab.client.enter(send).unwrap();
}

#[test]
fn a_greedy_user_keeps_nobody_out() {
    let scene = Scene::new();
    let mut serving = scene.start(&scene.configuration("max-leases = 16", ""));
    greedy(&scene, 1);
    // Two are Alice's in any case; of the ten that are nobody's, half have to stay free.
    serving
        .gate
        .wait_for("alice holds 7 of the 16 leases that firewall.max-leases allows; the rest is reserved")
        .unwrap();
    assert_eq!(scene.port(SERVER), Silent);
    scene.knock("bob");
    assert_eq!(scene.port(SERVER), Open);
    scene.letmein("carol", SERVER_V6, "knock", &["--silent"]);
    wait_until("Carol is in", || scene.port(SERVER_V6) == Open);

    // Bob is greedy, too, which takes nothing from Carol.
    greedy(&scene, 2);
    serving.gate.wait_for("bob holds ").unwrap();
    scene.letmein("carol", SERVER, "knock", &[]);
    let of = |user: &str| serving.holders().iter().filter(|holder| *holder == user).count();
    assert_eq!((of("alice"), of("carol")), (7, 2));
    assert!(of("bob") < 7, "{}", of("bob"));
}

/// A restart and a reload know who holds how much.
#[test]
fn a_restart_gives_nobody_more() {
    let scene = Scene::new();
    let configuration = scene.configuration("max-leases = 16", "");
    let refusal = "alice holds 7 of the 16 leases";
    let mut serving = scene.start(&configuration);
    greedy(&scene, 1);
    serving.gate.wait_for(refusal).unwrap();
    serving.gate.kill().unwrap();
    let mut serving = scene.start(&configuration);
    let another = Draft::default().seal();
    let control = "10.77.1.1:5800".parse().unwrap();
    letmein_tests::silent::send(&scene.lab.client, control, &[&another]).unwrap();
    serving.gate.wait_for(refusal).unwrap();
    serving.reload(&configuration.replace("max-leases = 16", "max-leases = 15"));
    letmein_tests::silent::send(&scene.lab.client, control, &[&Draft::default().seal()]).unwrap();
    serving.gate.wait_for("alice holds 7 of the 15 leases").unwrap();
    assert_eq!(scene.port(SERVER), Silent);
    scene.knock("bob");
    assert_eq!(scene.port(SERVER), Open);
}
