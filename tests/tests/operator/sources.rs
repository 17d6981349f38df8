//! Who is refused is told, with or without XDP.

use super::gate;
use letmein_tests::{
    gate::Gate,
    lab::{Lab, Outcome},
};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::UdpSocket,
    os::unix::net::UnixStream,
    thread::sleep,
    time::{Duration, Instant},
};

/// What the screen of `letmeind top` is made of.
fn top(gate: &Gate) -> Value {
    let mut stream = UnixStream::connect(gate.socket()).unwrap();
    stream.write_all(b"{\"command\":\"top\"}\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// Asks until this is so.
#[track_caller]
fn wait_for(gate: &Gate, what: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let top = top(gate);
        if what(&top) {
            return top;
        }
        assert!(Instant::now() < deadline, "{top}");
        sleep(Duration::from_millis(100));
    }
}

fn source<'t>(top: &'t Value, address: &str) -> Option<&'t Value> {
    let mut sources = top["sources"].as_array().unwrap().iter();
    sources.find(|source| source["address"] == address)
}

/// Datagrams of no knock's length, some each millisecond.
fn junk(lab: &Lab, count: usize) {
    let send = || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..count / 10 {
            for _ in 0..10 {
                socket.send_to(b"junk", ("10.77.1.1", 5800)).unwrap();
            }
            sleep(Duration::from_millis(1));
        }
    };
    lab.client.enter(send).unwrap();
}

fn flooded(xdp: &str) {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, &format!("xdp = \"{xdp}\""), "");
    // The first second is none.
    sleep(Duration::from_millis(1500));
    assert_eq!(top(&gate)["sources"], serde_json::json!([]));
    junk(&lab, 5000);
    let top = wait_for(&gate, |top| source(top, "10.77.1.2").is_some());
    let told = source(&top, "10.77.1.2").unwrap();
    assert_eq!((&told["reason"], &told["port"]), (&"length".into(), &5800.into()));
    // No more are told of than a few, and they stand for the others: each counts once.
    let top = wait_for(&gate, |top| {
        source(top, "10.77.1.2").is_none_or(|source| source["count"]["total"].as_u64() > Some(1000))
    });
    let total = source(&top, "10.77.1.2").unwrap()["count"]["total"]
        .as_u64()
        .unwrap();
    assert!(total <= 5000, "{total}");
}

#[test]
fn in_the_xdp_program() {
    flooded("native");
}

#[test]
fn in_userspace() {
    flooded("off");
}

#[test]
fn at_the_shield_with_the_port() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    sleep(Duration::from_millis(1500));
    let ssh = "10.77.2.1:22".parse().unwrap();
    assert_eq!(lab.other.connect(ssh).unwrap(), Outcome::Silent);
    let top = wait_for(&gate, |top| source(top, "10.77.2.2").is_some());
    let told = source(&top, "10.77.2.2").unwrap();
    assert_eq!((&told["reason"], &told["port"]), (&"shield".into(), &22.into()));
}
