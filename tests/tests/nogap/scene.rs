//! A gate with a guest, whose XDP program is pinned.

use letmein_tests::{
    bpffs::BpfFs,
    gate::{Gate, KEY, configuration},
    lab::{Lab, Outcome},
    letmeind::Letmeind,
};
use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
};

const SERVER: &str = "10.77.1.1";

pub struct Scene {
    pub lab: Lab,
    pub bpffs: BpfFs,
    pub service: TcpListener,
}

impl Scene {
    pub fn new() -> Self {
        let lab = Lab::new().unwrap();
        Self {
            service: lab.server.listen(22).unwrap(),
            bpffs: BpfFs::mount().unwrap(),
            lab,
        }
    }

    /// The usual one, with these lines in `[gate]`.
    pub fn configuration(&self, gate: &str) -> String {
        let gate = format!("rate = 1000\nburst = 1000\n{}\n{gate}", self.bpffs.setting());
        configuration(&gate, "", "1h")
    }

    /// Next to the configuration lies `bob.key`.
    pub fn letmeind(&self, configuration: &str) -> Letmeind<'_> {
        let letmeind = Letmeind::new(&self.lab.server, configuration).unwrap();
        let file = letmeind.key_file().with_file_name("bob.key");
        fs::write(&file, "b0".repeat(32)).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        letmeind
    }

    pub fn start(&self, gate: &str) -> Gate {
        self.letmeind(&self.configuration(gate)).start().unwrap()
    }

    pub fn knock(&self, gate: &Gate) {
        let knocked = gate.letmein(&self.lab.client, SERVER, &KEY, &["knock", "gate", "ssh"]);
        assert_eq!(knocked.unwrap(), 0);
    }

    /// A daemon that has let the client in.
    pub fn with_guest(&self) -> Gate {
        let gate = self.start("");
        self.knock(&gate);
        gate
    }

    pub fn nft(&self, arguments: &[&str]) -> String {
        self.lab.server.run("nft", arguments).unwrap()
    }

    /// The number of the XDP program on this interface, and `xdp` or `xdpgeneric`.
    pub fn program(&self, interface: &str) -> Option<(String, String)> {
        let shown = self.lab.server.run("ip", &["link", "show", interface]).unwrap();
        let kind = shown.split_whitespace().find(|word| word.starts_with("xdp"))?;
        let id = shown.split("prog/xdp id ").nth(1)?.split_whitespace().next()?;
        Some((id.to_owned(), kind.to_owned()))
    }

    /// What is pinned, without the numbers of namespace and interface.
    pub fn pins(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.bpffs.pins()) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let without_numbers = |name: String| match name.rsplit_once('-') {
            Some((before, mode)) if before.starts_with("link") => format!("link-{mode}"),
            _ => name,
        };
        let mut names: Vec<_> = names.map(without_numbers).collect();
        names.sort();
        names
    }

    pub fn guest_meets(&self) -> Outcome {
        self.lab.client.connect("10.77.1.1:22".parse().unwrap()).unwrap()
    }

    pub fn stranger_meets(&self) -> Outcome {
        self.lab.other.connect("10.77.2.1:22".parse().unwrap()).unwrap()
    }
}
