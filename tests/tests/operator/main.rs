//! The operator's socket: what it tells is true, what it does is done, and nobody else gets there.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod commands;
mod permissions;
mod reload;
mod requests;
mod sources;
mod top;

use letmein_tests::{
    gate::{Gate, KEY},
    lab::Lab,
};
use serde_json::Value;
use std::process::Output;

const SERVER: &str = "10.77.1.1";

fn gate(lab: &Lab, gate: &str, firewall: &str) -> Gate {
    Gate::start(&lab.server, gate, firewall, "1h").unwrap()
}

/// Knocks, or revokes, as alice from the client.
fn alice(gate: &Gate, lab: &Lab, verb: &str) {
    let code = gate.letmein(&lab.client, SERVER, &KEY, &[verb, "gate", "ssh"]);
    assert_eq!(code.unwrap(), 0);
}

/// What a command prints that succeeds.
fn prints(gate: &Gate, verb: &str, arguments: &[&str]) -> String {
    let output = gate.operate(verb, arguments).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(gate: &Gate, verb: &str) -> Value {
    serde_json::from_str(&prints(gate, verb, &["--json"])).unwrap()
}

/// What a command says that fails.
fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
