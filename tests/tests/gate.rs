//! The gate on real packets: closed, knock, open for one address only, revoke, closed again.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_common::{
    ResourceId, UserId,
    hmac::KeyedStates,
    wire::challenge::{Message, NO_TOKEN, Operation},
};
use letmein_tests::{
    gate::{Gate, KEY},
    lab::{Lab, Outcome},
    wait::wait_until,
};
use std::{net::UdpSocket, time::Duration};

/// Every step of a lease's life, over one transport and one address family.
fn life_of_a_lease(xdp: &str, server: &str, other: &str, flag: &str) {
    let lab = Lab::new().unwrap();
    let _listener = lab.server.listen(22).unwrap();
    let gate = Gate::start(&lab.server, &format!("xdp = \"{xdp}\""), "", "1h").unwrap();
    let ssh = |address: &str| {
        (format!("[{address}]:22"))
            .parse()
            .or(format!("{address}:22").parse())
            .unwrap()
    };
    let knock = |key, verb| {
        gate.letmein(&lab.client, server, key, &[verb, "gate", "ssh", flag])
            .unwrap()
    };

    assert_eq!(lab.client.connect(ssh(server)).unwrap(), Outcome::Silent);
    assert_ne!(knock(&[1; 32], "knock"), 0);
    assert_eq!(lab.client.connect(ssh(server)).unwrap(), Outcome::Silent);
    assert_eq!(knock(&KEY, "knock"), 0);
    assert_eq!(lab.client.connect(ssh(server)).unwrap(), Outcome::Open);
    assert_eq!(lab.other.connect(ssh(other)).unwrap(), Outcome::Silent);
    assert_eq!(knock(&KEY, "revoke"), 0);
    assert_eq!(lab.client.connect(ssh(server)).unwrap(), Outcome::Silent);
    gate.stop().unwrap();
    assert_eq!(lab.client.connect(ssh(server)).unwrap(), Outcome::Silent);
}

#[test]
fn native_xdp_udp_ipv4() {
    life_of_a_lease("native", "10.77.1.1", "10.77.2.1", "-U");
}

#[test]
fn native_xdp_udp_ipv6() {
    life_of_a_lease("native", "fd77:1::1", "fd77:2::1", "-U");
}

#[test]
fn native_xdp_tcp_ipv4() {
    life_of_a_lease("native", "10.77.1.1", "10.77.2.1", "-T");
}

#[test]
fn generic_xdp_udp_ipv4() {
    life_of_a_lease("generic", "10.77.1.1", "10.77.2.1", "-U");
}

#[test]
fn without_xdp_udp_ipv4() {
    life_of_a_lease("off", "10.77.1.1", "10.77.2.1", "-U");
}

#[test]
fn a_lease_ends_by_itself_and_survives_a_restart() {
    /// Longer than a restart takes in an emulated machine.
    const LEASE: &str = "20s";
    let lab = Lab::new().unwrap();
    let _listener = lab.server.listen(22).unwrap();
    let ssh = "10.77.1.1:22".parse().unwrap();
    let gate = Gate::start(&lab.server, "", "closed = \"reject\"", LEASE).unwrap();
    assert_eq!(lab.client.connect(ssh).unwrap(), Outcome::Refused);
    assert_eq!(
        gate.letmein(&lab.client, "10.77.1.1", &KEY, &["knock", "gate", "22"])
            .unwrap(),
        0
    );
    gate.stop().unwrap();
    assert_eq!(lab.client.connect(ssh).unwrap(), Outcome::Open);
    let _again = Gate::start(&lab.server, "", "closed = \"reject\"", LEASE).unwrap();
    assert_eq!(lab.client.connect(ssh).unwrap(), Outcome::Open);
    wait_until("the lease has ended", || {
        lab.client.connect(ssh).unwrap() == Outcome::Refused
    });
}

#[test]
fn a_resource_that_is_not_the_users_is_refused() {
    let lab = Lab::new().unwrap();
    let mut gate = Gate::start(&lab.server, "", "", "1h").unwrap();
    assert_eq!(
        gate.letmein(&lab.client, "10.77.1.1", &KEY, &["knock", "gate", "-r", "2"])
            .unwrap(),
        1
    );
    gate.wait_for("alice may not open resource 00000002").unwrap();
    assert_eq!(gate.counters().unwrap().get("not-permitted"), Some(&1));
}

/// What XDP drops is counted by its reason and gets no answer, and a genuine knock works right after.
#[test]
fn refused_datagrams_are_counted_and_not_answered() {
    let lab = Lab::new().unwrap();
    let mut gate = Gate::start(&lab.server, "xdp = \"native\"\nrate = 0", "", "1h").unwrap();
    let key = KeyedStates::new(&KEY);
    let knock = |operation, user, salt: u8, key: &KeyedStates| {
        Message::authenticated(operation, UserId(user), ResourceId(1), [salt; 8], key, &NO_TOKEN).to_bytes()
    };
    let good = knock(Operation::Knock, 1, 1, &key);
    let mut magic = good;
    magic[0] ^= 1;
    let mut operation = good;
    operation[7] = 9;
    let answered = lab
        .client
        .enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect("10.77.1.1:5800").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            let mut buffer = [0; 100];
            for length in 0..good.len() {
                socket.send(&good[..length]).unwrap();
            }
            socket.send(&magic).unwrap();
            socket.send(&operation).unwrap();
            socket.send(&knock(Operation::ComeIn, 1, 2, &key)).unwrap();
            socket.send(&knock(Operation::Knock, 7, 3, &key)).unwrap();
            socket
                .send(&knock(Operation::Knock, 1, 4, &KeyedStates::new(&[1; 32])))
                .unwrap();
            socket.send(&knock(Operation::Response, 1, 5, &key)).unwrap();
            let before = socket.recv(&mut buffer).is_ok();
            socket.send(&good).unwrap();
            let genuine = socket.recv(&mut buffer).is_ok();
            socket.send(&good).unwrap();
            let replayed = socket.recv(&mut buffer).is_ok();
            (before, genuine, replayed)
        })
        .unwrap();
    assert_eq!(answered, (false, true, false));
    let counters = gate.counters().unwrap();
    let expected = [
        ("genuine", 1),
        ("length", 56),
        ("magic", 1),
        ("operation", 2),
        ("unknown-user", 1),
        ("auth", 1),
        ("replay", 1),
        ("no-challenge", 1),
    ];
    assert_eq!(
        counters,
        expected.map(|(name, count)| (name.to_owned(), count)).into()
    );
    assert_eq!(
        gate.letmein(&lab.client, "10.77.1.1", &KEY, &["knock", "gate", "ssh"])
            .unwrap(),
        0
    );
}
