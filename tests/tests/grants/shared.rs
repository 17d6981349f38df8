//! What one of them does is nothing to the others.

use crate::scene::{SERVER, SERVER_V6, Scene, assert_is_an_hour, assert_is_short};
use letmein_tests::{
    lab::Outcome::{Open, Silent},
    wait::wait_until,
};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

#[test]
fn a_shorter_knock_shortens_nobody_elses() {
    let scene = Scene::new();
    let mut serving = scene.gate();
    for (server, set) in [(SERVER, "leases4"), (SERVER_V6, "leases6")] {
        scene.letmein("alice", server, "knock", &[]);
        scene.knock_for(&mut serving, "bob", server, "2m");
        assert_is_an_hour(scene.left(set));
    }
    let grants = serving.grants();
    assert_eq!(grants.len(), 4, "{grants:?}");
    assert!(
        grants[..2].iter().all(|(who, left)| who == "alice" && *left > 50),
        "{grants:?}"
    );
    assert!(
        grants[2..].iter().all(|(who, left)| who == "bob" && *left <= 2),
        "{grants:?}"
    );
    // And one's own is as long as the last knock said.
    scene.knock_for(&mut serving, "alice", SERVER, "2m");
    assert_is_short(scene.left("leases4"));
    assert_is_an_hour(scene.left("leases6"));
}

#[test]
fn a_revocation_closes_what_nobody_else_keeps_open() {
    let scene = Scene::new();
    let mut serving = scene.gate();
    for (server, set) in [(SERVER, "leases4"), (SERVER_V6, "leases6")] {
        scene.knock_for(&mut serving, "bob", server, "2m");
        scene.letmein("alice", server, "knock", &[]);
        assert_is_an_hour(scene.left(set));
        scene.letmein("alice", server, "revoke", &[]);
        serving.gate.wait_for("others keep it open").unwrap();
        // What is left is Bob's.
        assert_is_short(scene.left(set));
        assert_eq!(scene.port(server), Open);
        // Alice has nothing to revoke any more.
        scene.letmein("alice", server, "revoke", &[]);
        assert_eq!(scene.port(server), Open);
        scene.letmein("bob", server, "revoke", &[]);
        assert_eq!(scene.port(server), Silent);
        assert_eq!(serving.grants(), []);
    }
}

/// In nftables and in the shield, which is what drops the packet here.
#[test]
fn the_port_closes_when_the_last_grant_ends() {
    let scene = Scene::new();
    let mut serving = scene.gate();
    scene.knock_for(&mut serving, "bob", SERVER, "6s");
    scene.knock("alice");
    scene.revoke("alice");
    assert_eq!(scene.port(SERVER), Open);
    wait_until("Bob's time is over", || {
        let met = scene.port(SERVER);
        if met == Open {
            // The queue of the service must not fill up, which would look the same.
            scene.service.accept().unwrap();
        }
        met == Silent
    });
    assert!(serving.gate.counters().unwrap()["shield"] > 0);
    assert_eq!(serving.holders(), [""; 0]);
}

#[test]
fn an_operator_opens_and_shortens_nobodys() {
    let scene = Scene::new();
    let serving = scene.gate();
    scene.knock("alice");
    serving.prints("open", &["ssh", "10.77.1.2", "--for", "5s"]);
    assert_is_an_hour(scene.left("leases4"));
    assert_eq!(serving.holders(), ["alice", "operator 0"]);
    wait_until("the operator's time is over", || serving.holders() == ["alice"]);
    assert_eq!(scene.port(SERVER), Open);
    // Nor does a user close what an operator has opened.
    serving.prints("open", &["ssh", "10.77.1.2", "--for", "2m"]);
    scene.revoke("alice");
    assert_is_short(scene.left("leases4"));
    assert_eq!(scene.port(SERVER), Open);
}

#[test]
fn an_operator_may_end_all() {
    let scene = Scene::new();
    let mut serving = scene.gate();
    let open = || {
        scene.knock("alice");
        scene.knock("bob");
        serving.prints("open", &["ssh", "10.77.1.2"]);
    };
    open();
    let said = serving.prints("revoke", &["alice"]);
    assert_eq!(said, "1 lease revoked, 1 port stays open by leases of others\n");
    assert_eq!(scene.port(SERVER), Open);
    let said = serving.prints("revoke", &["10.77.1.2"]);
    assert_eq!(said, "2 leases revoked (1 of bob, 1 of operator (uid 0))\n");
    assert_eq!(scene.port(SERVER), Silent);
    open();
    let said = serving.prints("revoke", &["all"]);
    assert_eq!(
        said,
        "3 leases revoked (1 of alice, 1 of bob, 1 of operator (uid 0))\n"
    );
    assert_eq!(scene.port(SERVER), Silent);
    serving
        .gate
        .wait_for("revoked 3 leases of all (1 of alice, 1 of bob, 1 of operator (uid 0))")
        .unwrap();
}

#[test]
fn connections_are_cut_with_the_last_grant() {
    let scene = Scene::new();
    let mut serving = scene.start(&scene.configuration("", "cut = true"));
    let connect = || {
        let mut client = scene
            .lab
            .client
            .enter(|| TcpStream::connect((SERVER, 22)).unwrap())
            .unwrap();
        let (mut server, _) = scene.service.accept().unwrap();
        let mut works = move |within| {
            server.set_read_timeout(Some(within)).unwrap();
            client.write_all(b"?").is_ok() && server.read_exact(&mut [0]).is_ok()
        };
        assert!(works(Duration::from_secs(10)));
        works
    };
    // The longest is revoked, then the other one.
    scene.knock("alice");
    scene.knock_for(&mut serving, "bob", SERVER, "2m");
    let mut works = connect();
    scene.revoke("alice");
    serving.gate.wait_for("others keep it open").unwrap();
    assert!(works(Duration::from_secs(10)));
    scene.revoke("bob");
    serving.gate.wait_for("ended 1 connections to ssh").unwrap();
    assert!(!works(Duration::from_millis(1500)));
    // The longest is revoked, and the other one runs out.
    scene.knock_for(&mut serving, "bob", SERVER, "10s");
    scene.knock("alice");
    let mut works = connect();
    scene.revoke("alice");
    assert!(works(Duration::from_secs(10)));
    serving
        .gate
        .wait_for("connections whose leases have run out")
        .unwrap();
    assert!(!works(Duration::from_millis(1500)));
}
