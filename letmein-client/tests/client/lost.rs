//! Over UDP, with messages that get lost, repeated and refused.

use crate::{
    client::Client,
    gate::{UdpGate, answer, now},
};
use letmein_common::wire::challenge::{
    NO_TOKEN,
    Operation::{self, ComeIn, GoAway, Knock, Response, Revoke},
};
use std::{collections::HashSet, net::UdpSocket, thread, time::Duration};

/// Knocks on a gate whose answers to these messages (by number, from 0) are lost, and returns what came there.
#[track_caller]
fn knock_losing(lost: &'static [usize]) -> Vec<Operation> {
    let gate = UdpGate::start(move |number, _, honest| now(honest.filter(|_| !lost.contains(&number))));
    let run = Client::new(gate.address, "4s").run("knock gate ssh");
    run.ended(0, "ssh on 127.0.0.1 is open\n");
    let gate = gate.finish();
    assert_eq!(gate.bad, 0, "a message without proof, or with an old salt");
    assert_eq!(gate.done, [Knock]);
    gate.operations()
}

#[test]
fn knock_and_revoke() {
    assert_eq!(knock_losing(&[]), [Knock, Response]);
    let gate = UdpGate::start(|_, _, honest| now(honest));
    let client = Client::new(gate.address, "4s");
    client
        .run("revoke gate 22")
        .ended(0, "22 on 127.0.0.1 is closed\n");
    client
        .run("-c /nowhere knock gate 22 -c")
        .ended(2, "a value is required");
    let gate = gate.finish();
    assert_eq!(
        (gate.bad, gate.operations(), gate.done),
        (0, vec![Revoke, Response], vec![Revoke])
    );
}

#[test]
fn over_ipv6() {
    let gate = UdpGate::start_at("[::1]:0", |_, _, honest| now(honest));
    let client = Client::new(gate.address, "4s");
    client.run("knock gate ssh").ended(0, "ssh on ::1 is open\n");
    client.run("knock gate ssh -6").ended(0, "open");
    client
        .run("knock gate ssh -4")
        .ended(4, "\"::1\" has no IPv4 address; leave out -4");
    assert_eq!(gate.finish().done, [Knock, Knock]);
}

#[test]
fn a_lost_challenge_is_asked_for_again() {
    assert_eq!(knock_losing(&[0]), [Knock, Knock, Response]);
    assert_eq!(knock_losing(&[0, 1]), [Knock, Knock, Knock, Response]);
}

#[test]
fn a_lost_knock_is_sent_again() {
    // Unlike above, the gate has not even begun an exchange.
    let mut arrived = 0;
    let gate = UdpGate::start(move |number, message, honest| {
        arrived += usize::from(message.operation == Knock);
        now(honest.filter(|_| number > 0 && arrived > 1))
    });
    Client::new(gate.address, "4s")
        .run("knock gate ssh")
        .ended(0, "open");
    let gate = gate.finish();
    assert_eq!((gate.bad, gate.operations()), (0, vec![Knock, Knock, Response]));
}

#[test]
fn a_lost_comein_is_asked_for_again() {
    assert_eq!(knock_losing(&[1]), [Knock, Response, Response]);
}

#[test]
fn a_gate_that_forgot_the_exchange_gets_another_from_another_port() {
    let gate = UdpGate::start(|number, _, honest| now(honest.filter(|_| number == 0 || number > 3)));
    Client::new(gate.address, "6s")
        .run("knock gate ssh")
        .ended(0, "open");
    let gate = gate.finish();
    assert_eq!(
        gate.operations(),
        [Knock, Response, Response, Response, Knock, Response]
    );
    let ports: HashSet<_> = gate.got.iter().map(|(_, port)| port).collect();
    assert_eq!((gate.bad, ports.len()), (0, 2));
}

#[test]
fn repeated_answers_are_answered_once() {
    let gate = UdpGate::start(|_, _, honest| now(honest.into_iter().cycle().take(5)));
    Client::new(gate.address, "4s")
        .run("knock gate ssh")
        .ended(0, "open");
    assert_eq!(gate.finish().operations(), [Knock, Response]);
}

#[test]
fn silence_ends_with_the_timeout() {
    let gate = UdpGate::start(|_, _, _| Vec::new());
    let run = Client::new(gate.address, "900ms").run("knock gate ssh");
    run.ended(
        3,
        "no answer over UDP within 900ms. A gate does not answer who proves no key",
    );
    assert!(
        run.took >= Duration::from_millis(900) && run.took < Duration::from_secs(3),
        "{run:?}"
    );
    let gate = gate.finish();
    assert!(gate.bad == 0 && gate.got.len() >= 2, "{:?}", gate.operations());
}

#[test]
fn silence_after_the_challenge_is_told_apart() {
    let gate = UdpGate::start(|_, message, honest| now(honest.filter(|_| message.operation == Knock)));
    let run = Client::new(gate.address, "600ms").run("knock gate ssh");
    run.ended(3, "the gate took the knock, but nothing came back");
}

#[test]
fn goaway_refuses() {
    for refused in [Knock, Response] {
        let gate = UdpGate::start(move |_, message, honest| {
            let goaway = answer(GoAway, NO_TOKEN);
            now(honest.map(|honest| {
                if message.operation == refused {
                    goaway
                } else {
                    honest
                }
            }))
        });
        let run = Client::new(gate.address, "4s").run("knock gate ssh");
        run.ended(1, "the gate refused");
        assert!(run.took < Duration::from_secs(3), "{run:?}");
        assert_eq!(gate.finish().operations().last(), Some(&refused));
    }
}

/// The other implementation's server says GOAWAY to a second KNOCK, and forgets the first.
#[test]
fn goaway_to_a_repeated_knock_is_not_the_last_word() {
    let gate = UdpGate::start(|number, _, honest| match number {
        0 => Vec::new(),
        1 => now([answer(GoAway, NO_TOKEN)]),
        _ => now(honest),
    });
    Client::new(gate.address, "5s")
        .run("knock gate ssh")
        .ended(0, "open");
    assert_eq!(gate.finish().operations(), [Knock, Knock, Knock, Response]);

    let gate = UdpGate::start(|number, _, _| match number {
        0 => Vec::new(),
        _ => now([answer(GoAway, NO_TOKEN)]),
    });
    Client::new(gate.address, "5s")
        .run("knock gate ssh")
        .ended(1, "the gate refused");
    assert_eq!(gate.finish().operations(), [Knock, Knock, Knock]);
}

/// An address of loopback where nothing listens.
fn unused() -> std::net::SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_closed_port_is_told_of_at_the_end() {
    let run = Client::new(unused(), "700ms").run("knock gate ssh");
    run.ended(4, "nothing listens on that UDP port");
    assert!(run.took >= Duration::from_millis(700), "{run:?}");
}

#[test]
fn a_closed_port_that_opens_in_time_is_no_failure() {
    let address = unused();
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        UdpGate::start_at(&address.to_string(), |_, _, honest| now(honest))
    });
    Client::new(address, "4s").run("knock gate ssh").ended(0, "open");
    assert_eq!(late.join().unwrap().finish().operations(), [Knock, Response]);
}

#[test]
fn verbose_tells_each_step() {
    let gate = UdpGate::start(|number, _, honest| now(honest.filter(|_| number > 0)));
    let run = Client::new(gate.address, "4s").run("--verbose knock gate ssh");
    run.ended(0, "open");
    for step in [
        "[servers.gate], user 0000001A, resource 0000002B",
        "127.0.0.1 is 127.0.0.1",
        "UDP: sending Knock",
        "no answer within 250ms",
        "CHALLENGE received",
        "sending Response",
        "UDP: done",
    ] {
        assert!(run.stderr.contains(step), "{step}: {run:?}");
    }
    assert!(gate.finish().done.contains(&Knock) && ComeIn != Knock);
}
