//! A server and a client on which the commands of one document are typed, one after the other.

use letmein_tests::{
    document::{Block, blocks},
    household::Household,
    lab::Lab,
    sshd::{SERVER, Sshd},
};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
};

/// What the client's documents call the gate.
const NAME: &str = "gate.example.org";
/// The interface that the documents have, instead of this test's.
const INTERFACE: &str = "eth0";
/// The configuration of a server whose own document is another one.
const CONFIGURATION: &str = "
    [daemon]
    user = \"64321\"
    [gate]
    interfaces = [\"eth0\"]
    [resources.ssh]
    id = \"00000001\"
    ports = [\"tcp/22\"]
    [resources.vpn]
    id = \"00000002\"
    ports = [\"udp/51820\"]
";
/// Who has the key that the client's document makes by hand.
const USER: &str = "
    [users.by-hand]
    id = \"0000001A\"
    key-file = \"by-hand.key\"
    resources = [\"ssh\", \"vpn\"]
";

pub struct Story {
    gate: Household,
    client: Household,
    /// What the server printed for a new user, and who types on the client pastes.
    invitation: String,
    serving: Option<Child>,
    _sshd: Sshd,
    _lab: Lab,
}

impl Story {
    /// A server with an sshd and nothing of letmein, and a client that knows its name.
    pub fn begin() -> Self {
        let lab = Lab::new().unwrap();
        let rename = format!(
            "ip link set to-peer1 down; ip link set to-peer1 name {INTERFACE}; ip link set {INTERFACE} up
             ip address add fd77:1::1/64 dev {INTERFACE} nodad"
        );
        lab.server.run("sh", &["-ec", &rename]).unwrap();
        let sshd = Sshd::start(&lab.server).unwrap();
        let gate = Household::on(&lab.server).unwrap();
        let client = Household::on(&lab.client).unwrap();
        let ssh = fs::read_to_string(sshd.client_configuration()).unwrap();
        let ssh = format!("{ssh}HostKeyAlias {SERVER}\n");
        client.write("/etc/ssh/ssh_config", &ssh, "644").unwrap();
        client
            .write(
                "/etc/hosts",
                &format!("127.0.0.1 localhost\n{SERVER} {NAME}\n"),
                "644",
            )
            .unwrap();
        Self {
            gate,
            client,
            invitation: String::new(),
            serving: None,
            _sshd: sshd,
            _lab: lab,
        }
    }

    /// The server of a document that is about something else.
    pub fn configure_gate(&self) {
        self.put_on_gate("/etc/letmein/letmeind.toml", CONFIGURATION);
    }

    pub fn put_on_gate(&self, file: &str, text: &str) {
        self.gate.write(file, text, "600").unwrap();
    }

    pub fn put_on_client(&self, file: &str, text: &str) {
        self.client.write(file, text, "600").unwrap();
    }

    /// Types everything that is in this document.
    pub fn tell(mut self, document: &str) {
        let blocks = blocks().unwrap();
        let mut typed = 0;
        for block in blocks.iter().filter(|block| block.document == document) {
            typed += self.carry_out(block);
        }
        assert!(typed > 0, "{document} has nothing to type");
    }

    fn carry_out(&mut self, block: &Block) -> usize {
        let here = format!("{}:{}", block.document, block.line);
        let household = match (block.language.as_str(), block.place.as_str()) {
            (_, "gate") => &self.gate,
            (_, "client") => &self.client,
            _ => return 0,
        };
        if block.language == "toml" {
            household.write(&block.file, &block.text, "600").unwrap();
            return 0;
        }
        for command in block.commands() {
            eprintln!("{here}: {command}");
            if block.place == "client" && command.contains("knock") {
                self.make_ready();
            }
            if command.starts_with("letmeind run") {
                self.serve(&command);
            } else {
                self.type_in(&block.place, &command);
            }
        }
        block.commands().count()
    }

    fn type_in(&mut self, place: &str, command: &str) {
        let household = if place == "gate" { &self.gate } else { &self.client };
        let pasted = if command.ends_with(" -") {
            self.invitation.as_str()
        } else {
            ""
        };
        let said = household.run_with_input(command, pasted).unwrap();
        eprint!("{said}");
        if let Some(line) = said.lines().find(|line| line.starts_with("letmein://")) {
            self.invitation = format!("{line}\n");
        }
    }

    /// A server for a document that is about something else, with the client's key.
    fn make_ready(&mut self) {
        if self.serving.is_some() {
            return;
        }
        if let Ok(key) = self.client.run("cat ~/.config/letmein/home.key") {
            let configuration = format!("{CONFIGURATION}{USER}");
            self.put_on_gate("/etc/letmein/letmeind.toml", &configuration);
            self.put_on_gate("/etc/letmein/by-hand.key", &key);
        }
        self.serve("letmeind run");
    }

    /// Has the server serve, by this command.
    pub fn serve(&mut self, command: &str) {
        self.stop();
        let mut server = self.gate.shell(&format!("exec {command}"));
        let mut server = server.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(server.stderr.take().unwrap());
        self.serving = Some(server);
        let mut lines = log
            .lines()
            .map_while(Result::ok)
            .inspect(|line| eprintln!("{line}"));
        assert!(
            lines.any(|line| line.contains("ready on port")),
            "{command} ended"
        );
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
    }

    fn stop(&mut self) {
        if let Some(mut server) = self.serving.take() {
            // `nsenter` became the shell, and that the server.
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        self.stop();
    }
}
