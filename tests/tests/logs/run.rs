//! A run in which everything happens that the log tells of with fields.

use letmein_tests::{
    gate::{KEY, configuration, letmein, program},
    lab::Lab,
    letmeind::{Letmeind, NOBODY},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::Read as _,
    path::PathBuf,
    process::{Command, Output},
    thread::sleep,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn with_format(format: &str, gate: &str, folder: &str) -> String {
    let text = configuration(gate, "", "2s");
    format!(
        "{text}\n[daemon]\nuser = \"{NOBODY}\"\nlog-format = \"{format}\"\n[operator]\nsocket = \"{folder}/letmeind.sock\"\n"
    )
}

/// Starts letmeind, knocks, asks for too much, reloads, and stops it. Returns its standard error.
pub fn everything(format: &str, under: &[&str]) -> String {
    let lab = Lab::new().unwrap();
    let letmeind = Letmeind::new(&lab.server, "").unwrap().under(under);
    let file = letmeind.key_file().with_file_name("letmeind.toml");
    let folder = file.parent().unwrap().display().to_string();
    let write = |gate: &str| fs::write(&file, with_format(format, gate, &folder)).unwrap();
    write("");
    let mut process = letmeind.command("run").unwrap().spawn().unwrap();
    let socket = PathBuf::from(format!("{folder}/letmeind.sock"));
    let operate = |words: &[&str]| -> Output {
        let mut command = Command::new(program("letmeind").unwrap());
        let command = command.arg(words[0]).arg("--socket").arg(&socket);
        command.args(&words[1..]).output().unwrap()
    };
    let leases = || String::from_utf8(operate(&["leases"]).stdout).unwrap();
    until("it serves", || operate(&["status"]).status.success());

    let knock = |resource: &str| {
        let client = "[servers.gate]\nhost = \"10.77.1.1\"\nuser = \"1\"\ntimeout = \"1s\"\nkey-file = \"alice.key\"\n\
                      [servers.gate.resources]\nssh = { id = \"1\" }\nadmin = { id = \"2\" }\n";
        letmein(&lab.client, client, &KEY, &["knock", "gate", resource]).unwrap()
    };
    assert_eq!(knock("ssh"), 0);
    until("the lease is over", || leases() == "no leases\n");
    assert_ne!(knock("admin"), 0);
    assert!(
        operate(&["open", "admin", "10.77.1.9", "--for", "1h"])
            .status
            .success()
    );
    assert!(operate(&["revoke", "10.77.1.9"]).status.success());
    write("port = 0\nburst = -1");
    assert!(!operate(&["reload"]).status.success());
    write("rate = 7");
    assert!(operate(&["reload"]).status.success());
    for signal in [Signal::SIGUSR1, Signal::SIGTERM] {
        kill(Pid::from_raw(process.id().cast_signed()), signal).unwrap();
        sleep(Duration::from_millis(300));
    }
    let mut log = String::new();
    process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(process.wait().unwrap().success(), "{log}");
    assert!(!log.to_lowercase().contains(&"5a".repeat(8)), "a key");
    log
}

pub fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(50));
    }
}
