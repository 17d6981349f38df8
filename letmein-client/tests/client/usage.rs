//! What is wrong before anything is sent, and `gen-key`.

use crate::{
    client::{Client, digits, run},
    gate::{UdpGate, now},
};
use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

fn letmein(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_letmein"));
    command.args(words);
    command
}

const SERVER: &str = "[servers.gate]\nhost = \"192.0.2.1\"\nuser = \"1\"\n";

#[test]
fn configuration_errors_name_file_and_line() {
    for (line, told) in [
        (
            "timeout = 5",
            "letmein.toml:4:11: a duration is written in quotes",
        ),
        (
            "keyfile = \"gate.key\"",
            "letmein.toml:4:1: unknown field `keyfile`",
        ),
        ("", "letmein.toml:1:1: this server lacks a key"),
        ("key-file = \"other.key\"", "other.key cannot be read"),
    ] {
        let client = Client::with_config(&format!("{SERVER}{line}\n"));
        client.run("knock gate ssh").ended(2, told);
    }
}

#[test]
fn a_key_in_the_wrong_place_is_not_shown() {
    let key = digits();
    for line in [
        format!("key-file = \"{key}\""),
        format!("key-file = \"keys/{key}\""),
        format!("key-file = \"gate.key\"\ntransport = \"{key}\""),
        format!("key-file = \"gate.key\"\n{key} = 1"),
        format!("key = {key}"),
    ] {
        // That the key is nowhere in the output is checked for every run.
        Client::with_config(&format!("{SERVER}{line}\n"))
            .run("knock gate ssh")
            .ended(2, "letmein: ");
    }
}

#[test]
fn names_that_are_not_known() {
    let client = Client::with_config(&format!(
        "{SERVER}key-file = \"gate.key\"\n[servers.gate.resources]\nssh = {{ id = \"1\", port = 22 }}\n"
    ));
    client
        .run("knock home ssh")
        .ended(2, "no [servers.NAME] section is for \"home\"; there is gate.");
    client.run("knock gate 23").ended(
        2,
        "[servers.gate]: no resource is called \"23\"; there is ssh (port 22)",
    );
    client
        .run("knock gate ssh -u 2")
        .ended(2, "\"gate\" has no user 00000002 here, but 00000001");
    client.run("knock gate").ended(2, "name what to open or close");
    client.run("knock").ended(2, "Usage: letmein");
    client.run("").ended(2, "Usage: letmein");
}

#[test]
fn a_name_without_an_address() {
    // Not a name that anybody could have, so that no name server is asked.
    let label = "a".repeat(64);
    let client = Client::with_config(&format!(
        "[servers.\"{label}\"]\nuser = \"1\"\nkey-file = \"gate.key\"\n"
    ));
    client
        .run(&format!("knock {label} -r 1"))
        .ended(4, "has no address: ");
}

#[test]
fn the_configuration_has_its_usual_place() {
    let gate = UdpGate::start(|_, _, honest| now(honest));
    let client = Client::new(gate.address, "4s");
    let home = client.path("home");
    let folder = if cfg!(windows) {
        home.clone()
    } else {
        home.join(".config")
    };
    let folder = folder.join("letmein");
    fs::create_dir_all(&folder).unwrap();
    let usual = |home: &Path| {
        let mut command = letmein(&["knock", "gate", "ssh"]);
        command.env_remove("XDG_CONFIG_HOME");
        command.env("HOME", home).env("APPDATA", home);
        run(command)
    };
    fs::copy(client.path("letmein.toml"), folder.join("letmein.toml")).unwrap();
    fs::copy(client.path("gate.key"), folder.join("gate.key")).unwrap();
    usual(&home).ended(0, "open");
    gate.finish();
}

#[test]
fn gen_key_prints_a_key() {
    let key = run(letmein(&["gen-key"]));
    key.ended(0, "");
    assert_eq!((key.stdout.len(), key.stderr.as_str()), (65, ""));
    assert!(key.stdout.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()));
    let user = run(letmein(&["gen-key", "-u", "1a"]));
    user.ended(0, "id = \"0000001A\"");
    user.ended(0, "user = \"0000001A\"");
}

#[test]
fn gen_key_writes_a_file_that_the_client_takes() {
    let gate = Client::with_config(SERVER);
    let file = gate.path("new.key");
    let path = file.to_str().unwrap();
    let made = run(letmein(&["gen-key", "-o", path]));
    made.ended(0, "");
    assert_eq!(made.stdout, "");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    let key = fs::read_to_string(&file).unwrap();
    run(letmein(&["gen-key", "-o", path])).ended(2, "exists already and is left as it is");
    assert_eq!(fs::read_to_string(&file).unwrap(), key);
    // It gets as far as the resource, so the key was taken.
    fs::write(
        gate.path("letmein.toml"),
        format!("{SERVER}key-file = \"new.key\"\n"),
    )
    .unwrap();
    gate.run("knock gate ssh")
        .ended(2, "no resource is called \"ssh\"");
}

#[test]
fn enroll_reads_one_line_and_waits_for_no_more() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("letmein.toml");
    let mut enroll = letmein(&["--config", file.to_str().unwrap(), "enroll", "-"]);
    let mut enroll = enroll.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = enroll.stdin.take().unwrap();
    let key = "5a".repeat(32);
    writeln!(
        stdin,
        "\nletmein://192.0.2.1/home?v=1&user=00000001&key={key}&resource=ssh:00000001:22"
    )
    .unwrap();
    // It is still open.
    assert!(enroll.wait().unwrap().success());
    assert!(fs::read_to_string(file).unwrap().contains("[servers.home]"));

    let mut nothing = letmein(&["enroll", "-"]);
    let output = nothing.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no line on standard input"));
}
