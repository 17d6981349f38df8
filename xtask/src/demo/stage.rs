//! The three hosts, and what runs on them.

use super::{letmeind::Letmeind, service};
use crate::{paths, sh};
use anyhow::{Context as _, bail};
use letmein_tests::{
    lab::{Host, Lab, Outcome},
    letmeind::NOBODY,
};
use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::{Command, Output},
};
use tempfile::TempDir;

/// The server, as the client knows it and as the scanner does. See [`Lab`] for the networks.
pub const SERVER_OF_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
pub const SERVER_OF_SCANNER: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
pub const SCANNER: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 2);
/// The port of the service.
pub const PORT: u16 = 22;
pub const CONTROL_PORT: u16 = letmein_common::DEFAULT_CONTROL_PORT;
/// The server's interfaces.
pub const INTERFACES: [&str; 2] = ["to-peer1", "to-peer2"];

/// All of it. Dropping this ends what runs and removes the hosts and the files.
pub struct Stage {
    // The order matters: a field is dropped before those below it.
    pub letmeind: Option<Letmeind>,
    pub lab: Lab,
    folder: TempDir,
}

impl Stage {
    /// Makes the hosts, a fresh key and the client's configuration, and starts the service.
    pub fn new() -> anyhow::Result<Self> {
        let lab = Lab::new()?;
        let folder = tempfile::Builder::new().prefix("letmein-demo-").tempdir()?;
        let stage = Self {
            letmeind: None,
            lab,
            folder,
        };
        service::serve(&stage.lab.server, PORT)?;
        let key = sh::output(Command::new(paths::debug("letmein")).arg("gen-key"))
            .context("`letmein gen-key` failed")?;
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(stage.path("alice.key"))?
            .write_all(key.as_bytes())?;
        fs::write(
            stage.path("letmein.toml"),
            format!(
                "[servers.gate]\nhost = \"{SERVER_OF_CLIENT}\"\nuser = \"00000001\"\nkey-file = \"alice.key\"\n\n\
                 [servers.gate.resources]\nssh = {{ id = \"00000001\", port = {PORT} }}\n"
            ),
        )?;
        Ok(stage)
    }

    /// Starts letmeind; leases last as long as `lease` says.
    pub fn start_letmeind(&mut self, lease: &str) -> anyhow::Result<()> {
        let config = self.path("letmeind.toml");
        let [first, second] = INTERFACES;
        fs::write(
            &config,
            format!(
                "[daemon]\nuser = \"{NOBODY}\"\n\n[gate]\ninterfaces = [\"{first}\", \"{second}\"]\nxdp = \"native\"\ntransports = [\"udp\"]\n\n\
                 [resources.ssh]\nid = \"00000001\"\nports = [\"tcp/{PORT}\"]\nlease = \"{lease}\"\n\n\
                 [users.alice]\nid = \"00000001\"\nkey-file = \"alice.key\"\nresources = [\"ssh\"]\n"
            ),
        )?;
        let program = paths::debug("letmeind");
        let log = self.path("letmeind.log");
        self.letmeind = Some(Letmeind::start(&self.lab.server, &program, &config, &log)?);
        Ok(())
    }

    /// The running letmeind.
    pub fn letmeind(&mut self) -> anyhow::Result<&mut Letmeind> {
        self.letmeind.as_mut().context("letmeind does not run")
    }

    /// What letmeind has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("letmeind.log")).unwrap_or_default()
    }

    /// A file of the demonstration.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `letmein VERB gate ssh` on the client.
    pub fn letmein(&self, verb: &str) -> Command {
        let mut command = self
            .lab
            .client
            .command(&paths::debug("letmein").to_string_lossy());
        command
            .arg("-c")
            .arg(self.path("letmein.toml"))
            .args([verb, "gate", "ssh"]);
        command
    }

    /// The leases that nftables holds, as it writes them.
    pub fn leases(&self) -> anyhow::Result<Vec<String>> {
        let mut nft = self.lab.server.command("nft");
        let output = nft.args(["list", "set", "inet", "letmein", "leases4"]).output()?;
        Ok(elements(&text(&output)?))
    }

    /// What the client meets at the service's port.
    pub fn client_meets(&self) -> anyhow::Result<&'static str> {
        meets(&self.lab.client, SERVER_OF_CLIENT)
    }

    /// What the scanner meets there.
    pub fn scanner_meets(&self) -> anyhow::Result<&'static str> {
        meets(&self.lab.other, SERVER_OF_SCANNER)
    }
}

fn meets(host: &Host, server: Ipv4Addr) -> anyhow::Result<&'static str> {
    let outcome = host.connect(SocketAddr::from((server, PORT)))?;
    Ok(match outcome {
        Outcome::Open => "open",
        Outcome::Refused => "refused",
        Outcome::Silent => "no answer",
    })
}

/// The hosts of this process that exist.
pub fn namespaces() -> anyhow::Result<Vec<String>> {
    let list = sh::output(Command::new("ip").args(["netns", "list"])).context("`ip netns list` failed")?;
    let ours = format!("lm-{}-", std::process::id());
    Ok(list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with(&ours))
        .map(str::to_owned)
        .collect())
}

/// The elements in what `nft list set` prints.
fn elements(listing: &str) -> Vec<String> {
    let Some((_, rest)) = listing.split_once("elements = {") else {
        return Vec::new();
    };
    let inside = rest.split_once('}').map_or(rest, |(inside, _)| inside);
    inside
        .split(',')
        .map(|element| element.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// Standard output of what succeeded.
fn text(output: &Output) -> anyhow::Result<String> {
    if !output.status.success() {
        bail!(
            "nft failed with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::elements;

    #[test]
    fn an_empty_set_has_no_elements() {
        let listing = "table inet letmein {\n\tset leases4 {\n\t\ttype ipv4_addr . inet_proto . inet_service\n\t\tsize \
                       65536\n\t\tflags timeout\n\t}\n}\n";
        assert!(elements(listing).is_empty());
    }

    #[test]
    fn elements_are_told_apart() {
        let listing = "table inet letmein {\n\tset leases4 {\n\t\tflags timeout\n\t\telements = { 10.77.1.2 . tcp . 22 \
                       timeout 6s expires 5s900ms,\n\t\t\t     10.77.2.2 . udp . 53 timeout 1h expires 59m }\n\t}\n}\n";
        assert_eq!(
            elements(listing),
            [
                "10.77.1.2 . tcp . 22 timeout 6s expires 5s900ms",
                "10.77.2.2 . udp . 53 timeout 1h expires 59m"
            ]
        );
    }
}
