//! `letmein ssh`, `letmein proxy` and OpenSSH's `Match exec`: whoever logs in need not think of the gate.
//! Needs root, and OpenSSH's server and client.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_tests::{
    bpffs::BpfFs,
    gate::{Client, Gate, KEY, configuration},
    lab::{Lab, Outcome},
    sshd::{SERVER, Sshd},
};
use std::{
    ffi::OsString,
    fs,
    process::{Command, Output},
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Challenge,
    Silent,
}

/// A gate with an sshd behind it, and a `letmein` that knows it as `gate`.
struct Scene {
    lab: Lab,
    sshd: Sshd,
    client: Client,
    _gate: Gate,
    _bpffs: BpfFs,
}

impl Scene {
    fn new(mode: Mode) -> Self {
        let lab = Lab::new().unwrap();
        let sshd = Sshd::start(&lab.server).unwrap();
        let bpffs = BpfFs::mount().unwrap();
        let (here, there) = match mode {
            Mode::Challenge => ("challenge", String::new()),
            Mode::Silent => (
                "silent",
                format!("silent = true\nchallenge = false\n{}", bpffs.setting()),
            ),
        };
        let there = configuration(&there, "", "1h");
        if mode == Mode::Silent {
            // A first start takes no silent knock for a while.
            Gate::start_with(&lab.server, &there).unwrap().stop().unwrap();
        }
        let here = format!(
            "[servers.gate]\nhost = \"{SERVER}\"\nmode = \"{here}\"\nuser = \"1\"\nkey-file = \"alice.key\"\n\
             [servers.gate.resources]\nssh = {{ id = \"1\", port = 22 }}\n"
        );
        Self {
            _gate: Gate::start_with(&lab.server, &there).unwrap(),
            client: Client::new(&here, &KEY).unwrap(),
            lab,
            sshd,
            _bpffs: bpffs,
        }
    }

    /// Runs this on the client's host, where the port is closed until then.
    #[track_caller]
    fn run(&self, mut command: Command) -> Output {
        let port = format!("{SERVER}:22").parse().unwrap();
        assert_eq!(self.lab.client.connect(port).unwrap(), Outcome::Silent);
        self.lab.client.enter(|| command.output()).unwrap().unwrap()
    }

    /// `letmein` with these words, and its configuration, as a shell's command line.
    fn letmein(&self, words: &str) -> String {
        let command = self.client.command(&[]);
        let line = [command.get_program()].into_iter().chain(command.get_args());
        let line: Vec<_> = line.map(|word| word.to_str().unwrap()).collect();
        format!("{} {words}", line.join(" "))
    }

    /// `ssh` with this line at the end of its configuration.
    fn ssh(&self, line: &str) -> Command {
        let file = self.sshd.client_configuration();
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}{line}\n")).unwrap();
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(file);
        ssh.args([&format!("root@{SERVER}"), "echo $SSH_CONNECTION; cat; exit 7"]);
        ssh
    }

    /// How many connections the server has had from the client.
    fn connections(&self) -> usize {
        self.sshd
            .log()
            .unwrap()
            .matches("Connection from 10.77.1.2 ")
            .count()
    }
}

/// The command at the other end ran, from the client's own address, and how it ended is what is told here.
#[track_caller]
fn was_let_in(output: &Output) {
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(
        output.status.code() == Some(7) && said.starts_with("10.77.1.2 ") && said.ends_with(" 22\n"),
        "{output:?}"
    );
}

fn letmein_ssh(mode: Mode) {
    let scene = Scene::new(mode);
    let mut arguments: Vec<OsString> = ["ssh", "root@gate", "-F"].map(Into::into).into();
    arguments.push(scene.sshd.client_configuration().into());
    arguments.extend(["-4", "echo $SSH_CONNECTION; exit 7"].map(Into::into));
    let mut command = scene.client.command(&[]);
    command.args(arguments);
    was_let_in(&scene.run(command));
}

#[test]
fn letmein_ssh_after_a_challenge_knock() {
    letmein_ssh(Mode::Challenge);
}

#[test]
fn letmein_ssh_after_a_silent_knock() {
    letmein_ssh(Mode::Silent);
}

fn proxy_command(mode: Mode) {
    let scene = Scene::new(mode);
    let proxy = scene.letmein("proxy %h %p");
    was_let_in(&scene.run(scene.ssh(&format!("ProxyCommand {proxy}"))));
    assert_eq!(scene.connections(), 1, "{}", scene.sshd.log().unwrap());
}

#[test]
fn proxy_command_with_challenge_knocks_makes_one_connection() {
    proxy_command(Mode::Challenge);
}

#[test]
fn proxy_command_with_silent_knocks_makes_one_connection() {
    proxy_command(Mode::Silent);
}

fn match_exec(mode: Mode, words: &str) {
    let scene = Scene::new(mode);
    let knock = scene.letmein(words);
    was_let_in(&scene.run(scene.ssh(&format!("Match host {SERVER} exec \"{knock}\""))));
}

#[test]
fn match_exec_with_challenge_knocks() {
    match_exec(Mode::Challenge, "knock %h %p");
}

#[test]
fn match_exec_with_silent_knocks() {
    match_exec(Mode::Silent, "knock %h %p --wait");
}

/// What `letmein status` says before a knock and after it.
#[test]
fn status_tells_a_closed_port_from_an_open_one() {
    let scene = Scene::new(Mode::Challenge);
    let status = || scene.client.command(&["status", "gate"]);
    let said = |output: Output| String::from_utf8(output.stdout).unwrap();
    let before = said(scene.run(status()));
    assert!(
        before.contains("ssh (00000001): 10.77.1.1:22 is silent"),
        "{before}"
    );
    let knock = scene.run(scene.client.command(&["knock", "gate:22", "gate:ssh"]));
    assert_eq!(said(knock), "22 on 10.77.1.1 is open\nssh on 10.77.1.1 is open\n");
    let after = scene.lab.client.enter(|| status().output()).unwrap();
    let after = said(after.unwrap());
    assert!(after.contains("10.77.1.1:22 is open"), "{after}");
}
