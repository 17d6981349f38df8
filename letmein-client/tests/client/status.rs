//! `letmein status`, which sends no knock.

use crate::{
    client::Client,
    gate::{UdpGate, now},
};
use serde_json::{Value, json};
use std::net::TcpListener;

#[test]
fn ports_tell_whether_they_answer_and_nothing_is_knocked() {
    let gate = UdpGate::start(|_, _, honest| now(honest));
    let (open, closed) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let (open_port, closed_port) = (port(&open), port(&closed));
    drop(closed);
    let client = Client::with_config(&format!(
        "[servers.gate]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"1A\"\nkey-file = \"gate.key\"\n\
         [servers.gate.resources]\na = {{ id = \"1\", port = {open_port} }}\nb = {{ id = \"2\", port = {closed_port} }}\n\
         c.id = \"3\"\n",
        gate.address.port()
    ));
    let run = client.run("status gate");
    for text in [
        "configuration: [servers.gate], user 0000001A, its key is good",
        "addresses: 127.0.0.1",
        &format!("a (00000001): 127.0.0.1:{open_port} is open"),
        &format!("b (00000002): 127.0.0.1:{closed_port} is refused"),
        "c (00000003): no port",
        "clock: 2",
    ] {
        run.ended(0, text);
    }
    let run = client.run("status 127.0.0.1 --json");
    let mut told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(told["clock"].take().as_str().unwrap().ends_with('Z'));
    let tcp = |state| json!([{ "address": "127.0.0.1", "state": state }]);
    let expected = json!({
        "version": 1, "command": "status", "exit_code": 0,
        "server": { "name": "gate", "host": "127.0.0.1", "control_port": gate.address.port(),
                    "user": "0000001A", "mode": "challenge", "transport": "udp" },
        "addresses": ["127.0.0.1"],
        "resources": [
            { "name": "a", "id": "00000001", "port": open_port, "tcp": tcp("open") },
            { "name": "b", "id": "00000002", "port": closed_port, "tcp": tcp("refused") },
            { "name": "c", "id": "00000003", "port": null, "tcp": [] },
        ],
        "clock": null,
    });
    assert_eq!(told, expected);
    assert!(gate.finish().got.is_empty());
}

#[test]
fn a_bad_key_and_an_unknown_host_are_told() {
    let section = "user = \"1\"\nresources = { ssh = { id = \"1\", port = 22 } }\n";
    let client = Client::with_config(&format!(
        "[servers.key]\nhost = \"127.0.0.1\"\nkey-file = \"no.key\"\n{section}\
         [servers.\"no-such-host.invalid\"]\nkey-file = \"gate.key\"\n{section}"
    ));
    for (words, code, text) in [
        ("status key --json", 2, "no.key cannot be read"),
        ("status no-such-host.invalid --json", 4, "has no address"),
    ] {
        let run = client.run(words);
        run.ended(code, text);
        let told: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(told["exit_code"], code);
        assert!(told["error"].as_str().unwrap().contains(text), "{told}");
    }
    // The rest is told all the same.
    let run = client.run("status no-such-host.invalid");
    assert!(run.stdout.contains("its key is good"), "{run:?}");
}
