//! Several resources at once, and what `--json` tells of them.

use crate::{
    client::Client,
    gate::{RESOURCE, USER, UdpGate, answer, now},
};
use letmein_common::wire::challenge::Operation::{GoAway, Knock, Response, Revoke};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Knows two gates, `one` and `two`, with a resource called `ssh` each.
fn client(one: SocketAddr, two: SocketAddr) -> Client {
    let section = |name, gate: SocketAddr| {
        format!(
            "[servers.{name}]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{USER}\"\nkey-file = \"gate.key\"\n\
             timeout = \"1s\"\n[servers.{name}.resources]\nssh = {{ id = \"{RESOURCE}\", port = 22 }}\n\
             same = {{ id = \"{RESOURCE}\" }}\n",
            gate.port()
        )
    };
    Client::with_config(&(section("one", one) + &section("two", two)))
}

#[test]
fn each_is_knocked_on_and_gets_a_line() {
    let (one, two) = (
        UdpGate::start(|_, _, honest| now(honest)),
        UdpGate::start(|_, _, honest| now(honest)),
    );
    let client = client(one.address, two.address);
    let run = client.run("knock two:22 one:same");
    run.ended(0, "");
    assert_eq!(run.stdout, "22 on 127.0.0.1 is open\nsame on 127.0.0.1 is open\n");
    for gate in [one, two] {
        assert_eq!(gate.finish().operations(), [Knock, Response]);
    }
}

#[test]
fn the_worst_outcome_counts_and_the_others_are_told() {
    let (good, refuses) = (
        UdpGate::start(|_, _, honest| now(honest)),
        UdpGate::start(|_, _, _| now([answer(GoAway, [0; 32])])),
    );
    let client = client(good.address, refuses.address);
    let run = client.run("knock one:ssh two:ssh");
    run.ended(1, "ssh on 127.0.0.1: ");
    assert_eq!(run.stdout, "ssh on 127.0.0.1 is open\n");
}

#[test]
fn nothing_is_sent_if_one_of_them_makes_no_sense() {
    let gate = UdpGate::start(|_, _, honest| now(honest));
    let client = client(gate.address, gate.address);
    client
        .run("knock one ssh vpn")
        .ended(2, "no resource is called \"vpn\"");
    client
        .run("knock one:ssh three:ssh")
        .ended(2, "no [servers.NAME] section is for \"three\"");
    client.run("knock one").ended(2, "name what to open or close");
    assert!(gate.finish().got.is_empty());
}

#[track_caller]
fn object(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).unwrap()
}

#[test]
fn json_tells_every_outcome() {
    let (good, refuses) = (
        UdpGate::start(|_, _, honest| now(honest)),
        UdpGate::start(|_, _, _| now([answer(GoAway, [0; 32])])),
    );
    let client = client(good.address, refuses.address);
    let run = client.run("knock one:ssh two:same --json");
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("the gate refused"), "{run:?}");
    let mut told = object(&run.stdout);
    assert!(told["resources"][0]["milliseconds"].take().is_u64(), "{told}");
    let failure = told["resources"][1]["failures"][0]["message"].take();
    assert!(failure.as_str().unwrap().contains("the gate refused"));
    let (host, id) = ("127.0.0.1", RESOURCE.to_string());
    let expected = json!({ "version": 1, "command": "knock", "exit_code": 1, "resources": [
        { "host": host, "name": "ssh", "id": id, "state": "open", "milliseconds": null, "failures": [] },
        { "host": host, "name": "same", "id": id, "state": "failed",
          "failures": [{ "exit_code": 1, "message": null }] },
    ] });
    assert_eq!(told, expected);

    let run = client.run("revoke one ssh --json");
    let told = object(&run.stdout);
    assert_eq!((run.code, &told["command"]), (Some(0), &json!("revoke")));
    assert_eq!(told["resources"][0]["state"], "closed");
    let sent = object(&client.run("knock one ssh --silent --json -P 9").stdout);
    assert_eq!(sent["resources"][0]["state"], "sent");

    let run = client.run("knock three ssh --json");
    let told = object(&run.stdout);
    assert_eq!((run.code, &told["exit_code"]), (Some(2), &json!(2)));
    assert!(
        told["error"]
            .as_str()
            .unwrap()
            .contains("no [servers.NAME] section")
    );
    assert!(good.finish().operations().contains(&Revoke));
}
