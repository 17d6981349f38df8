//! Over UDP, with datagrams in between that are not the gate's.

use crate::{
    client::Client,
    gate::{Send, UdpGate, answer, now},
};
use letmein_common::{
    ResourceId, UserId,
    wire::challenge::{
        LEN, Message, NO_TOKEN,
        Operation::{self, Challenge, ComeIn, GoAway, Knock, Response, Revoke},
    },
};
use std::time::Duration;

/// Everything that is no answer to our KNOCK.
fn junk() -> Vec<Send> {
    let good = answer(Challenge, [9; 32]);
    let bytes = good.to_bytes();
    let mut datagrams: Vec<Vec<u8>> = [0, 1, LEN - 1].map(|length| bytes[..length].to_vec()).into();
    datagrams.push([bytes.as_slice(), &[0]].concat());
    datagrams.push(vec![0xAA; 1400]);
    let mut wrong_magic = bytes;
    wrong_magic[0] ^= 1;
    datagrams.push(wrong_magic.to_vec());
    let mut no_operation = bytes;
    no_operation[7] = 6;
    datagrams.push(no_operation.to_vec());
    for operation in [Knock, Response, Revoke, ComeIn] {
        datagrams.push(Message { operation, ..good }.to_bytes().into());
    }
    for operation in [Challenge, ComeIn, GoAway] {
        let user = UserId(7);
        datagrams.push(
            Message {
                operation,
                user,
                ..good
            }
            .to_bytes()
            .into(),
        );
        let resource = ResourceId(7);
        datagrams.push(
            Message {
                operation,
                resource,
                ..good
            }
            .to_bytes()
            .into(),
        );
    }
    datagrams
        .into_iter()
        .map(|datagram| Send(Duration::ZERO, datagram))
        .collect()
}

#[test]
fn junk_before_the_answers_is_passed_over() {
    let gate = UdpGate::start(|number, _, honest| {
        let mut datagrams = junk();
        if number == 1 {
            // After its CHALLENGE was answered, a COMEIN is what the client waits for.
            datagrams.truncate(7);
        }
        datagrams.extend(now(honest));
        datagrams
    });
    Client::new(gate.address, "4s")
        .run("knock gate ssh")
        .ended(0, "open");
    let gate = gate.finish();
    assert_eq!((gate.bad, gate.operations()), (0, vec![Knock, Response]));
}

#[test]
fn junk_alone_is_no_answer() {
    let gate = UdpGate::start(|_, _, _| junk());
    let run = Client::new(gate.address, "600ms").run("knock gate ssh");
    run.ended(3, "no answer over UDP");
    assert_eq!(gate.finish().operations()[..2], [Knock, Knock]);
}

/// A GOAWAY that comes before the gate's own answer, and one that comes before a COMEIN.
#[test]
fn a_goaway_that_is_contradicted_is_not_believed() {
    let gate = UdpGate::start(|_, _, honest| {
        let mut datagrams = now([answer(GoAway, NO_TOKEN), answer(GoAway, NO_TOKEN)]);
        let later = Duration::from_millis(80);
        datagrams.extend(honest.map(|honest| Send(later, honest.to_bytes().into())));
        datagrams
    });
    Client::new(gate.address, "4s")
        .run("knock gate ssh")
        .ended(0, "open");
    assert_eq!(gate.finish().operations(), [Knock, Response]);
}

/// Who forges a CHALLENGE gets an answer that is of no use, and the gate's is answered all the same.
#[test]
fn a_forged_challenge_does_not_replace_the_genuine_one() {
    let gate = UdpGate::start(|number, message, honest| match (number, message.operation) {
        (0, _) => now([answer(Challenge, [0xEE; 32]), honest.unwrap()]),
        _ => now(honest),
    });
    Client::new(gate.address, "4s")
        .run("knock gate ssh")
        .ended(0, "open");
    let gate = gate.finish();
    assert_eq!(gate.operations(), [Knock, Response, Response]);
    assert_eq!((gate.bad, gate.got.len()), (1, 3));
}

/// The forged one comes last, so that it is what the client remembers when the COMEIN is lost.
#[test]
fn a_forged_challenge_and_a_lost_comein_together_only_take_longer() {
    let gate = UdpGate::start(|number, _, honest| match number {
        0 => now([honest.unwrap(), answer(Challenge, [0xEE; 32])]),
        1..=4 => Vec::new(),
        _ => now(honest),
    });
    Client::new(gate.address, "6s")
        .run("knock gate ssh")
        .ended(0, "open");
    let operations: Vec<Operation> = gate.finish().operations();
    assert_eq!(operations[..2], [Knock, Response]);
    assert_eq!(operations[operations.len() - 2..], [Knock, Response]);
}
