//! Moving in: letmein 12's own configurations of server and client, imported, open the same port on the same firewall.

use anyhow::Context as _;
use letmein_tests::{
    gate::{Gate, KEY, program},
    lab::{Host, Lab, Outcome},
    letmeind::NOBODY,
    peer,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const SERVER: &str = "10.77.1.1";

#[test]
fn a_server_for_its_own_clients_and_ours() {
    let lab = Lab::new().unwrap();
    let folder = TempDir::new().unwrap();
    // Theirs jumps to the same chain.
    let ruleset = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nftables.conf");
    lab.server
        .run("nft", &["--file", ruleset.to_str().unwrap()])
        .unwrap();
    let key = peer::hexadecimal(&KEY);
    let theirs = format!(
        "[GENERAL]\ndebug = true\nport = 5800 / tcp, udp\ncontrol-error-policy = basic-auth\n\
         [NFTABLES]\nfamily = inet\ntable = filter\nchain-input = LETMEIN-INPUT\ntimeout = 600\n\
         [KEYS]\n00000001 = {key}\n[RESOURCES]\n0000001A = port: 22 / users: 00000001\n0000001B = port: 23\n"
    );
    let their_client = format!(
        "[CLIENT]\ndefault-user = 00000001\n[KEYS]\n00000001 = {key}\n[RESOURCES]\n0000001A = port: 22\n"
    );
    let there = import(
        "letmeind",
        &folder,
        &theirs,
        &["--interface", "to-peer1", "--interface", "to-peer2"],
    )
    .unwrap();
    let imported = fs::read_to_string(&there).unwrap();
    fs::write(&there, format!("{imported}\n[daemon]\nuser = \"{NOBODY}\"\n")).unwrap();
    let here = import("letmein", &folder, &their_client, &["--host", SERVER]).unwrap();

    let service = lab.server.listen(22).unwrap();
    let gate = Gate::start_from(&lab.server, &there).unwrap();
    assert_eq!(port(&lab.client), Outcome::Silent);
    for transport in ["-T", "-U"] {
        for verb in ["knock", "revoke"] {
            let output = peer::letmein(&lab.client, &their_client, &[verb, SERVER, "22", transport]).unwrap();
            assert!(output.status.success(), "{verb} {transport}: {output:?}");
            assert_eq!(
                port(&lab.client) == Outcome::Open,
                verb == "knock",
                "{verb} {transport}"
            );
        }
    }
    for verb in ["knock", "revoke"] {
        let ours = || {
            let mut letmein = Command::new(program("letmein").unwrap());
            letmein.arg("-c").arg(&here).args([verb, SERVER, "22"]).status()
        };
        assert!(lab.client.enter(ours).unwrap().unwrap().success(), "{verb}");
        assert_eq!(port(&lab.client) == Outcome::Open, verb == "knock", "{verb}");
    }
    gate.stop().unwrap();
    drop(service);
}

fn port(client: &Host) -> Outcome {
    client.connect(format!("{SERVER}:22").parse().unwrap()).unwrap()
}

/// Has this program import a configuration into a file, whose path it returns.
fn import(name: &str, folder: &TempDir, text: &str, more: &[&str]) -> anyhow::Result<PathBuf> {
    let theirs = folder.path().join(format!("{name}.conf"));
    let ours = folder.path().join(format!("{name}.toml"));
    fs::write(&theirs, text)?;
    let mut command = Command::new(program(name)?);
    command
        .arg("import")
        .arg(theirs)
        .arg("--output")
        .arg(&ours)
        .args(more);
    let output = command.output()?;
    output
        .status
        .success()
        .then_some(ours)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}
