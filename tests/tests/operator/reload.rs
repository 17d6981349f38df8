//! `reload`: what came of it is told to who has asked, as the letmeind that runs sees it.

use super::{alice, complaint, gate, prints};
use letmein_tests::{
    gate::{Gate, KEY, configuration, program},
    lab::{Lab, Outcome},
    letmeind::complete,
};
use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Output},
};

fn file(gate: &Gate) -> PathBuf {
    gate.socket().with_file_name("letmeind.toml")
}

/// Writes another configuration, of which nobody is told.
fn write(gate: &Gate, text: &str) {
    let file = file(gate);
    fs::write(&file, complete(text, file.parent().unwrap())).unwrap();
}

fn refused(gate: &Gate, text: &str) -> String {
    write(gate, text);
    complaint(&gate.operate("reload", &[]).unwrap())
}

fn knocks(gate: &Gate, lab: &Lab, resource: &str) -> i32 {
    let arguments = ["knock", "gate", resource];
    gate.letmein(&lab.client, super::SERVER, &KEY, &arguments)
        .unwrap()
}

#[test]
fn it_is_done_when_the_command_has_ended() {
    let lab = Lab::new().unwrap();
    let mut gate = gate(&lab, "", "");
    let usual = configuration("", "", "1h");
    assert_eq!(knocks(&gate, &lab, "ssh"), 0);
    write(
        &gate,
        &usual
            .replace("[users.alice]", "[users.bob]")
            .replacen("00000001\"\nkey", "00000003\"\nkey", 1),
    );
    assert_eq!(
        prints(&gate, "reload", &[]),
        format!("reloaded {}: 1 user, 2 resources\n", file(&gate).display())
    );
    gate.wait_for("operator (uid 0) asks for a reload").unwrap();
    gate.wait_for("reloaded: 1 users").unwrap();
    assert_ne!(knocks(&gate, &lab, "ssh"), 0, "alice is gone");
    assert_eq!(prints(&gate, "leases", &[]), "no leases\n");
    // A warning is told to both.
    write(&gate, &configuration("error-policy = \"always\"", "", "1h"));
    let output = gate.operate("reload", &[]).unwrap();
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("WARN") && said.contains("answers strangers"),
        "{said}"
    );
    gate.wait_for("answers strangers").unwrap();
    gate.stop().unwrap();
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_changes_nothing() {
    let lab = Lab::new().unwrap();
    let _listener = lab.server.listen(22).unwrap();
    let service: SocketAddr = format!("{}:22", super::SERVER).parse().unwrap();
    let mut gate = gate(&lab, "", "");
    alice(&gate, &lab, "knock");
    let usual = configuration("", "", "1h");
    let line = 1 + usual
        .lines()
        .position(|line| line == "ports = [\"tcp/22\"]")
        .unwrap();

    let said = refused(&gate, &usual.replace("tcp/22", "tcp/0"));
    assert!(said.contains("the configuration goes on as it was"), "{said}");
    assert!(
        said.contains(&format!("{}:{line}:10: ", file(&gate).display())),
        "{said}"
    );
    gate.wait_for(&format!(":{line}:10: ")).unwrap();
    // Good in itself, but not while it runs; and not on this machine.
    let said = refused(&gate, &format!("{usual}\n[daemon]\nuser = \"1\"\n"));
    assert!(said.contains("a change of daemon.user takes a restart"), "{said}");
    let said = refused(&gate, &usual.replace("\"to-peer2\"", "\"nowhere0\""));
    assert!(said.contains("nowhere0"), "{said}");

    assert_eq!(lab.client.connect(service).unwrap(), Outcome::Open);
    assert_eq!(knocks(&gate, &lab, "ssh"), 0);
    write(&gate, &usual);
    assert!(prints(&gate, "reload", &[]).ends_with(": 1 user, 2 resources\n"));
    gate.stop().unwrap();
}

#[test]
fn without_a_letmeind_it_fails_and_says_why() {
    let mut command = Command::new(program("letmeind").unwrap());
    command.args(["reload", "--socket", "/nowhere/letmeind.sock"]);
    let said = complaint(&command.output().unwrap());
    assert!(
        said.contains("does letmeind run, with this path for operator.socket?"),
        "{said}"
    );
}

/// A user who was removed but still gets in must not look like one who is gone.
#[test]
fn a_change_of_users_that_is_not_taken_over_is_no_success() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    let usual = configuration("", "", "1h");
    let remove = || -> Output {
        let program = program("letmeind").unwrap();
        let mut command = lab.server.command(&program.to_string_lossy());
        command
            .args(["user", "remove", "alice", "--config"])
            .arg(file(&gate));
        command.output().unwrap()
    };
    write(&gate, &usual.replace("\"to-peer2\"", "\"nowhere0\""));
    let said = complaint(&remove());
    assert!(
        said.contains("has not taken it over") && said.contains("nowhere0"),
        "{said}"
    );
    assert_eq!(knocks(&gate, &lab, "ssh"), 0);
    write(&gate, &usual);
    let output = remove();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains(": no users, 2 resources"),
        "{said}"
    );
    assert_ne!(knocks(&gate, &lab, "ssh"), 0);
}
