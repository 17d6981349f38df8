//! `letmein ssh`: what `ssh` is started with, and when.

#![cfg(unix)]

use crate::{
    client::{Client, Run, run},
    gate::{RESOURCE, USER, UdpGate, answer, now},
};
use letmein_common::wire::challenge::Operation::GoAway;
use std::{env, fs, net::SocketAddr, os::unix::fs::PermissionsExt as _};

/// A client with these resources, and an `ssh` that prints its arguments and ends with 42.
fn client(gate: SocketAddr, resources: &str) -> Client {
    let client = Client::with_config(&format!(
        "[servers.gate]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{USER}\"\nkey-file = \"gate.key\"\n\
         [servers.gate.resources]\n{resources}\n",
        gate.port()
    ));
    let ssh = client.path("ssh");
    fs::write(&ssh, "#!/bin/sh\nprintf '%s|' \"$@\"\nexit 42\n").unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    client
}

fn ssh(client: &Client, words: &str) -> Run {
    let mut command = client.command(&format!("ssh {words}"));
    let path = env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", client.path("").display()));
    run(command)
}

#[test]
fn ssh_gets_the_host_the_port_and_what_follows() {
    let gate = UdpGate::start(|_, _, honest| now(honest));
    let id = RESOURCE;
    for (resources, words, expected) in [
        (format!("ssh.id = \"{id}\""), "gate", "127.0.0.1|"),
        (
            format!("ssh = {{ id = \"{id}\", port = 2222 }}"),
            "-4 a@b@gate -v -L 1:x:2 ls -4",
            "-4|-p|2222|a@b@127.0.0.1|-v|-L|1:x:2|ls|-4|",
        ),
        (
            format!("door = {{ id = \"{id}\", port = 22 }}"),
            "127.0.0.1",
            "-p|22|127.0.0.1|",
        ),
        (
            format!("ssh.id = \"1\"\nadmin = {{ id = \"{id}\", port = 23 }}"),
            "-r admin gate --silent -T -c x",
            "-p|23|127.0.0.1|--silent|-T|-c|x|",
        ),
    ] {
        let run = ssh(&client(gate.address, &resources), words);
        assert_eq!((run.code, run.stdout.as_str()), (Some(42), expected), "{run:?}");
    }
}

#[test]
fn ssh_is_not_started_without_a_knock() {
    let gate = UdpGate::start(|_, _, _| now([answer(GoAway, [0; 32])]));
    let refused = client(gate.address, &format!("ssh.id = \"{RESOURCE}\""));
    ssh(&refused, "gate").ended(1, "the gate refused");
    let none = client(
        gate.address,
        &format!("web = {{ id = \"{RESOURCE}\", port = 80 }}"),
    );
    ssh(&none, "gate").ended(2, "neither a resource named ssh, nor one with port 22");
}

#[test]
fn a_missing_ssh_is_told() {
    let gate = UdpGate::start(|_, _, honest| now(honest));
    let client = client(gate.address, &format!("ssh.id = \"{RESOURCE}\""));
    let mut command = client.command("ssh gate");
    command.env("PATH", client.path("nowhere"));
    run(command).ended(127, "cannot run ssh");
}
