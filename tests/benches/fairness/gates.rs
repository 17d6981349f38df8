//! What is attacked: hosts, a gate, its users' clients. Port 22 is what they want.

use super::guests::{By, GATE};
use anyhow::{Context as _, anyhow, ensure};
use letmein_tests::{
    bare::accept_frames,
    bpffs::BpfFs,
    gate::{Client, Gate},
    guest::Service,
    lab::Lab,
    letmeind::complete,
    peer,
};
use std::{
    any::Any,
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    sync::{Mutex, MutexGuard},
};
use tempfile::TempDir;

/// Users who are fair. Their ids are 1 and so on.
pub const USERS: u8 = 3;
/// The id of the one who is not.
pub const GREEDY: u8 = 4;

/// The key of the user with this id.
pub const fn key(user: u8) -> [u8; 32] {
    [user; 32]
}

/// With the key file that is beside the configuration.
const ANOTHER_USER: &str = "[users.another]\nid = \"5\"\nkey-file = \"alice.key\"\nresources = [\"ssh\"]\n";

/// The client of a user, who knocks in this way.
type Knock = Box<dyn Fn(By) -> Command + Send + Sync>;

/// One gate, its users, and who attacks it.
pub struct Stage {
    pub lab: Lab,
    clients: Vec<Knock>,
    ours: Option<Mutex<Ours>>,
    /// What has to live as long. Several threads see the stage.
    _keep: Mutex<Vec<Box<dyn Any + Send>>>,
}

/// Our letmeind, which can be asked things.
struct Ours {
    /// None while it is started again.
    gate: Option<Gate>,
    configuration: String,
}

impl Stage {
    /// With our gate, and these lines in `[gate]` and `[firewall]`.
    pub fn ours(gate: &str, firewall: &str) -> anyhow::Result<Self> {
        let (lab, service) = lab()?;
        let bpffs = BpfFs::mount()?;
        let keys = TempDir::new()?;
        let gate = format!("xdp = \"native\"\nsilent = true\n{}\n{gate}", bpffs.setting());
        let configuration = configuration(&gate, firewall, keys.path())?;
        // A first start takes no silent knock for a while.
        Gate::start_with(&lab.server, &configuration)?.stop()?;
        let gate = Gate::start_with(&lab.server, &configuration)?;
        let clients: Result<_, _> = (1..=USERS).map(our_client).collect();
        Ok(Self {
            lab,
            clients: clients?,
            ours: Some(Mutex::new(Ours {
                gate: Some(gate),
                configuration,
            })),
            _keep: Mutex::new(vec![Box::new(service), Box::new(bpffs), Box::new(keys)]),
        })
    }

    /// With letmein 12, which takes both transports.
    pub fn theirs() -> anyhow::Result<Self> {
        let (lab, service) = lab()?;
        let bare = accept_frames(&lab.server, "to-peer2")?;
        let ruleset = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nftables.conf");
        lab.server.run("nft", &["--file", &ruleset.to_string_lossy()])?;
        let mut keys = String::new();
        for user in 1..=GREEDY {
            writeln!(keys, "{user:08} = {}", peer::hexadecimal(&key(user)))?;
        }
        let servers = peer::Servers::start(
            &lab.server,
            &format!(
                "[GENERAL]\ndebug = true\nport = 5800 / tcp, udp\n\
                 [NFTABLES]\nfamily = inet\ntable = filter\nchain-input = LETMEIN-INPUT\n\
                 [KEYS]\n{keys}[RESOURCES]\n00000001 = port: 22\n"
            ),
        )?;
        let clients: Result<_, _> = (1..=USERS).map(their_client).collect();
        Ok(Self {
            lab,
            clients: clients?,
            ours: None,
            _keep: Mutex::new(vec![Box::new(servers), Box::new(service), Box::new(bare)]),
        })
    }

    /// The client of a user.
    pub fn client(&self, user: usize, by: By) -> Command {
        self.clients[user](by)
    }

    /// From now on the guests' host has this address, as far as the gate sees.
    pub fn come_from(&self, source: Ipv4Addr) -> anyhow::Result<()> {
        let gate = Ipv4Addr::from(GATE).to_string();
        let route = ["route", "replace", &gate, "dev", "to-server", "src"];
        self.lab
            .client
            .run("ip", &[&route[..], &[&source.to_string()]].concat())?;
        Ok(())
    }

    /// Closes what is open for an address. Returns whether this gate can do so.
    pub fn close(&self, source: Ipv4Addr) -> anyhow::Result<bool> {
        if self.ours.is_none() {
            return Ok(false);
        }
        // That nothing was open is all the same.
        self.operate("revoke", &[&source.to_string()])?;
        Ok(true)
    }

    /// Packets that the server has taken from the attacker's host.
    pub fn received(&self) -> anyhow::Result<u64> {
        let counter = "/sys/class/net/to-peer2/statistics/rx_packets";
        Ok(self.lab.server.run("cat", &[counter])?.trim().parse()?)
    }

    /// How many leases there are.
    pub fn leases(&self) -> anyhow::Result<u64> {
        let output = self.operate("status", &["--json"])?;
        let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        status["leases"]["now"].as_u64().context("letmeind status")
    }

    /// Has it read another configuration: with one user more.
    pub fn reload(&self) -> anyhow::Result<()> {
        let mut ours = self.lock()?;
        ours.configuration += ANOTHER_USER;
        let gate = ours.gate.as_ref().context("letmeind does not run")?;
        let socket = gate.socket();
        let folder = socket.parent().context("the socket is in a folder")?;
        fs::write(
            folder.join("letmeind.toml"),
            complete(&ours.configuration, folder),
        )?;
        drop(ours);
        let output = self.operate("reload", &[])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "letmeind reload: {said}");
        Ok(())
    }

    /// Stops it and starts it.
    pub fn restart(&self) -> anyhow::Result<()> {
        let mut ours = self.lock()?;
        if let Some(gate) = ours.gate.take() {
            gate.stop()?;
        }
        ours.gate = Some(Gate::start_with(&self.lab.server, &ours.configuration)?);
        Ok(())
    }

    fn operate(&self, verb: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        let ours = self.lock()?;
        let gate = ours.gate.as_ref().context("letmeind does not run")?;
        gate.operate(verb, arguments)
    }

    fn lock(&self) -> anyhow::Result<MutexGuard<'_, Ours>> {
        let ours = self.ours.as_ref().context("this is not our gate")?;
        ours.lock().map_err(|_| anyhow!("another thread has panicked"))
    }
}

/// Hosts: guests have 10.80.0.0/16 on the one, the attacker has 10.88.0.0/16 and `fd90::/48` on the other.
fn lab() -> anyhow::Result<(Lab, Service)> {
    let lab = Lab::new()?;
    let service = Service::new(lab.server.listen(22)?)?;
    for (host, network, gateway) in [
        (&lab.client, "10.80.0.0/16", "10.77.1.2"),
        (&lab.other, "10.88.0.0/16", "10.77.2.2"),
        (&lab.other, "fd90::/48", "fd77:2::2"),
    ] {
        host.run("ip", &["route", "add", "local", network, "dev", "lo"])?;
        lab.server.run("ip", &["route", "add", network, "via", gateway])?;
    }
    // IPv6 binds to no address that no interface has, local or not.
    let anywhere = "echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind";
    lab.other.run("sh", &["-c", anywhere])?;
    // What is said to forged sources has to go somewhere, as on the internet.
    lab.server
        .run("ip", &["route", "add", "default", "via", "10.77.2.2"])?;
    Ok((lab, service))
}

/// With the keys of all users in this folder.
fn configuration(gate: &str, firewall: &str, keys: &Path) -> anyhow::Result<String> {
    let mut text = format!(
        "[gate]\ninterfaces = [\"to-peer1\", \"to-peer2\"]\n{gate}\n[firewall]\n{firewall}\n\
         [resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\n"
    );
    for user in 1..=GREEDY {
        let file = keys.join(user.to_string());
        fs::write(&file, peer::hexadecimal(&key(user)))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        write!(
            text,
            "[users.user{user}]\nid = \"{user}\"\nkey-file = \"{}\"\nresources = [\"ssh\"]\n",
            file.display()
        )?;
    }
    Ok(text)
}

fn our_client(user: u8) -> anyhow::Result<Knock> {
    let client = Client::new(
        &format!(
            "[servers.gate]\nhost = \"10.77.1.1\"\nuser = \"{user}\"\nkey-file = \"alice.key\"\n\
             [servers.gate.resources]\nssh = {{ id = \"1\", port = 22 }}\n"
        ),
        &key(user),
    )?;
    Ok(Box::new(move |by| {
        let how: &[_] = match by {
            By::Udp => &["--challenge", "-U"],
            By::Tcp => &["--challenge", "-T"],
            By::Silent => &["--silent"],
        };
        client.command(&[&["knock", "gate", "22"], how].concat())
    }))
}

fn their_client(user: u8) -> anyhow::Result<Knock> {
    let client = peer::Client::new(&format!(
        "[CLIENT]\ndefault-user = {user:08}\n[KEYS]\n{user:08} = {}\n[RESOURCES]\n00000001 = port: 22\n",
        peer::hexadecimal(&key(user))
    ))?;
    Ok(Box::new(move |by| {
        let how = if by == By::Tcp { "-T" } else { "-U" };
        client.command(&["knock", "10.77.1.1", "22", how])
    }))
}
