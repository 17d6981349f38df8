//! TCP connections to the control port that are held and not used.

use letmein_common::wire::challenge::{LEN, Operation};
use letmein_tests::{
    gate::{Gate, KEY},
    knocker::{Draft, Tcp},
    lab::{Lab, Outcome},
    wait::wait_until,
};
use std::{
    net::SocketAddr,
    thread::sleep,
    time::{Duration, Instant},
};

const GATE: &str = "10.77.1.1:5800";
const GATE_OF_OTHER: &str = "10.77.2.1:5800";

/// Whether the gate challenges who knocks on this connection; otherwise it has closed it.
fn is_served(connection: &mut Tcp) -> bool {
    let knock = Draft::default().sign();
    let sent = connection.send(&knock);
    let answer = sent.map(|()| connection.answer().unwrap());
    answer.is_ok_and(|answer| answer.is_some_and(|answer| answer.operation == Operation::Challenge))
}

/// A host with `count` addresses, from 10.77.2.2 on, connects from `each` of them. No connection says more than a part
/// of a message.
fn hold(lab: &Lab, addresses: u8, each: usize) -> Vec<Tcp> {
    let mut held = Vec::new();
    for last in 2..2 + addresses {
        let address = format!("10.77.2.{last}");
        if last > 2 {
            let prefix = format!("{address}/24");
            let words = ["addr", "add", prefix.as_str(), "dev", "to-server"];
            lab.other.run("ip", &words).unwrap();
        }
        for number in 0..each {
            let gate = GATE_OF_OTHER.parse().unwrap();
            let mut connection = Tcp::new_from(&lab.other, address.parse().unwrap(), gate).unwrap();
            // A refused connection may be closed by now.
            let _sent = connection.send(&Draft::default().sign()[..number % LEN]);
            held.push(connection);
        }
    }
    held
}

#[test]
fn a_holder_of_all_connections_locks_nobody_out() {
    let lab = Lab::new().unwrap();
    let _service = lab.server.listen(22).unwrap();
    let settings = "control-timeout = \"10m\"\nmax-connections = 6\nmax-connections-per-source = 2";
    let gate = Gate::start(&lab.server, settings, "", "1h").unwrap();
    let mut held = hold(&lab, 5, 3);
    // The first of each source made way for its third, and then one each of the sources that had two for other sources'.
    for number in [0, 3, 6, 9, 12, 1, 4, 7, 10] {
        assert_eq!(held[number].answer().unwrap(), None, "connection {number}");
    }
    let ssh: SocketAddr = "10.77.1.1:22".parse().unwrap();
    for transport in ["-T", "-U"] {
        for (verb, outcome) in [("knock", Outcome::Open), ("revoke", Outcome::Silent)] {
            let arguments = [verb, "gate", "ssh", transport];
            let code = gate.letmein(&lab.client, "10.77.1.1", &KEY, &arguments);
            assert_eq!(code.unwrap(), 0, "{verb} {transport}");
            assert_eq!(lab.client.connect(ssh).unwrap(), outcome, "{verb} {transport}");
        }
    }
    // The last was held all the while. A part of the message has been sent.
    let mut last = held.remove(14);
    last.send(&Draft::default().sign()[2..]).unwrap();
    assert_eq!(last.answer().unwrap().unwrap().operation, Operation::Challenge);
}

/// Of connections that prove no key. Those that do are the user's, wherever they come from.
#[test]
fn a_source_has_its_share() {
    let lab = Lab::new().unwrap();
    let settings = "control-timeout = \"10m\"\nmax-connections-per-source = 2";
    let _gate = Gate::start(&lab.server, settings, "", "1h").unwrap();
    let connect = || Tcp::new(&lab.client, GATE.parse().unwrap()).unwrap();
    let (mut first, mut second, mut third) = (connect(), connect(), connect());
    assert_eq!(first.answer().unwrap(), None);
    assert!(is_served(&mut second) && is_served(&mut third));
    let (mut fourth, mut fifth) = (connect(), connect());
    assert!(is_served(&mut fourth) && is_served(&mut fifth));
    // A second user of the same gate does not notice.
    assert!(is_served(
        &mut Tcp::new(&lab.other, GATE_OF_OTHER.parse().unwrap()).unwrap()
    ));
}

/// Over IPv6 a whole network is one source.
#[test]
fn addresses_of_one_network_share() {
    let lab = Lab::new().unwrap();
    let settings = "control-timeout = \"10m\"\nmax-connections-per-source = 1";
    let _gate = Gate::start(&lab.server, settings, "", "1h").unwrap();
    for (host, device, address) in [
        (&lab.other, "to-server", "fd77:2:0:7::2/64"),
        (&lab.server, "to-peer2", "fd77:2:0:7::1/64"),
    ] {
        let words = ["addr", "add", address, "dev", device, "nodad"];
        host.run("ip", &words).unwrap();
    }
    let connect = |source: &str, gate: &str| {
        Tcp::new_from(&lab.other, source.parse().unwrap(), gate.parse().unwrap()).unwrap()
    };
    let mut elsewhere = Tcp::new(&lab.client, "[fd77:1::1]:5800".parse().unwrap()).unwrap();
    let mut first = connect("fd77:2::2", "[fd77:2::1]:5800");
    let mut neighbour = connect("fd77:2:0:7::2", "[fd77:2:0:7::1]:5800");
    assert_eq!(first.answer().unwrap(), None);
    assert!(is_served(&mut neighbour) && is_served(&mut elsewhere));
}

/// How many connections there may be.
const PLACES: usize = 16;
/// How many come at a time, none of which says anything.
const CROWD: usize = 3 * PLACES;

/// Strangers come from all addresses of a network, and whenever there are none left of those that came before them, the
/// client says a message more. `source` has the number of each.
fn crowded(gate: &str, gate_of_other: &str, network: &str, source: impl Fn(usize) -> String) {
    let lab = Lab::new().unwrap();
    let gateway = if gate.starts_with('[') {
        "fd77:2::2"
    } else {
        "10.77.2.2"
    };
    let route = ["route", "add", network, "via", gateway];
    lab.server.run("ip", &route).unwrap();
    let local = ["route", "add", "local", network, "dev", "lo"];
    lab.other.run("ip", &local).unwrap();
    let bind = "echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind";
    lab.other.run("sh", &["-c", bind]).unwrap();
    let settings = format!("control-timeout = \"10m\"\nmax-connections = {PLACES}");
    let _gate = Gate::start(&lab.server, &settings, "", "1h").unwrap();
    let strangers = |from: usize| {
        let mut crowd: Vec<_> = (from..from + CROWD)
            .map(|number| {
                let source = source(number).parse().unwrap();
                Tcp::new_from(&lab.other, source, gate_of_other.parse().unwrap()).unwrap()
            })
            .collect();
        for (number, turned_away) in crowd.iter_mut().enumerate().take(CROWD - PLACES) {
            assert_eq!(turned_away.answer().unwrap(), None, "of {from} and {number}");
        }
        crowd
    };
    let draft = Draft::default();
    let mut guest = Tcp::new(&lab.client, gate.parse().unwrap()).unwrap();
    let _first = strangers(0);
    guest.send(&draft.sign()).unwrap();
    let challenge = guest.answer().unwrap().unwrap();
    let _second = strangers(CROWD);
    guest.send(&draft.response(&challenge).sign()).unwrap();
    let answer = guest.answer().unwrap().unwrap();
    assert_eq!(answer.operation, Operation::ComeIn);
    // And whoever comes last.
    let mut late = Tcp::new(&lab.client, gate.parse().unwrap()).unwrap();
    assert!(is_served(&mut late));
}

#[test]
fn all_of_one_network_keep_nobody_else_out() {
    crowded(GATE, GATE_OF_OTHER, "10.88.7.0/24", |number| {
        format!("10.88.7.{}", number + 1)
    });
}

/// Each of them is a source with a share of its own.
#[test]
fn all_of_one_network_keep_nobody_else_out_ipv6() {
    crowded(
        "[fd77:1::1]:5800",
        "[fd77:2::1]:5800",
        "fd88:0:1::/48",
        |number| format!("fd88:0:1:{number:02x}00::1"),
    );
}

/// A byte now and then does not keep a connection: the whole exchange has one `control-timeout`.
#[test]
fn a_slow_sender_is_cut_off() {
    let lab = Lab::new().unwrap();
    let settings = "control-timeout = \"1s\"\nmax-connections-per-source = 1";
    let _gate = Gate::start(&lab.server, settings, "", "1h").unwrap();
    let trickle = |mut connection: Tcp, message: [u8; LEN]| {
        let cut = message.iter().position(|byte| {
            sleep(Duration::from_millis(100));
            connection.send(&[*byte]).is_err()
        });
        assert!(cut.is_some(), "taken though it was slow");
    };
    for (host, gate) in [(&lab.client, GATE), (&lab.other, GATE_OF_OTHER)] {
        let connect = || Tcp::new(host, gate.parse().unwrap()).unwrap();
        let start = Instant::now();
        let mut slow = connect();
        // One host is slow from the beginning, the other with the response.
        let mut draft = Draft::default();
        if gate == GATE_OF_OTHER {
            slow.send(&draft.sign()).unwrap();
            draft = draft.response(&slow.answer().unwrap().unwrap());
        }
        trickle(slow, draft.sign());
        assert!(start.elapsed() >= Duration::from_secs(1), "cut off early");
        wait_until("its place is free", || is_served(&mut connect()));
    }
}
