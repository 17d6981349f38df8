//! How long a knock takes: from starting the client to the first accepted TCP connection, in milliseconds, for this
//! gate and for letmein 12 in turn. `cargo xtask bench open` runs it. Needs root.
//!
//! Both do the same on hosts of their own: the challenge knock over UDP and IPv4. A third one knocks silently, which
//! only ours do. Each client is started directly in its host's namespace, each lease is revoked again before the next
//! round.

use anyhow::bail;
use letmein_tests::{
    bpffs::BpfFs,
    figures::{self, Figures},
    gate::{self, Gate, KEY},
    lab::{Lab, Outcome},
    peer,
};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const ROUNDS: u32 = 41;
const SERVER: &str = "10.77.1.1";
const PATIENCE: Duration = Duration::from_secs(2);
/// A thousand times what an attempt takes that gets through.
const ATTEMPT: Duration = Duration::from_millis(5);

/// Hosts on which the port is closed, and what opens it.
struct Contestant {
    lab: Lab,
    _service: TcpListener,
    knock: Command,
    revoke: Command,
}

fn main() -> anyhow::Result<()> {
    let (mut ours, _bpffs, _gate, _client) = start("challenge")?;
    let (mut silent, _silent_bpffs, _silent_gate, _silent_client) = start("silent")?;
    let (mut theirs, _servers, _other_client) = letmein_12()?;
    let mut figures = Figures::default();
    let rounds = if figures::quick() { 1 } else { ROUNDS };
    for _ in 0..rounds {
        figures.add("ours_ms", ours.open()?);
        figures.add("silent_ms", silent.open()?);
        figures.add("letmein_ms", theirs.open()?);
    }
    let ratio = |name| {
        let ratio = figures.median(name) / figures.median("letmein_ms");
        format!("{name}: {ratio:.2} x letmein_ms")
    };
    figures.print(&[ratio("ours_ms"), ratio("silent_ms")])
}

/// A gate of ours, with what its XDP program is kept in, and a client for this kind of knock.
fn start(mode: &str) -> anyhow::Result<(Contestant, BpfFs, Gate, gate::Client)> {
    let lab = Lab::new()?;
    let bpffs = BpfFs::mount()?;
    // Nobody knocks a hundred times a second; here that must not meet the token bucket.
    let settings = format!(
        "xdp = \"native\"\nrate = 10000\nburst = 10000\nsilent = true\n{}",
        bpffs.setting()
    );
    // A first start takes no silent knock for a while.
    Gate::start(&lab.server, &settings, "", "1h")?.stop()?;
    let gate = Gate::start(&lab.server, &settings, "", "1h")?;
    let client = gate::Client::new(
        &format!(
            "[servers.gate]\nhost = \"{SERVER}\"\nuser = \"1\"\nkey-file = \"alice.key\"\nmode = \"{mode}\"\n\
             [servers.gate.resources]\nssh = {{ id = \"1\", port = 22 }}\n"
        ),
        &KEY,
    )?;
    let command = |verb| client.command(&[verb, "gate", "22", "-U"]);
    let contestant = Contestant::new(lab, command("knock"), command("revoke"))?;
    Ok((contestant, bpffs, gate, client))
}

fn letmein_12() -> anyhow::Result<(Contestant, peer::Servers, peer::Client)> {
    let lab = Lab::new()?;
    let ruleset = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nftables.conf");
    let loaded = lab.server.command("nft").arg("--file").arg(ruleset).status()?;
    if !loaded.success() {
        bail!("nft does not load nftables.conf");
    }
    let key = peer::hexadecimal(&KEY);
    let servers = peer::Servers::start(
        &lab.server,
        &format!(
            // Without `debug` it does not say when it is up. It costs a few lines to a pipe for each knock.
            "[GENERAL]\ndebug = true\nport = 5800 / udp\n\
             [NFTABLES]\nfamily = inet\ntable = filter\nchain-input = LETMEIN-INPUT\n\
             [KEYS]\n00000001 = {key}\n[RESOURCES]\n00000001 = port: 22 / users: 00000001\n"
        ),
    )?;
    let client = peer::Client::new(&format!(
        "[CLIENT]\ndefault-user = 00000001\n[KEYS]\n00000001 = {key}\n[RESOURCES]\n00000001 = port: 22\n"
    ))?;
    let command = |verb| client.command(&[verb, SERVER, "22", "-U"]);
    let contestant = Contestant::new(lab, command("knock"), command("revoke"))?;
    Ok((contestant, servers, client))
}

impl Contestant {
    fn new(lab: Lab, mut knock: Command, mut revoke: Command) -> anyhow::Result<Self> {
        for command in [&mut knock, &mut revoke] {
            command.stdout(Stdio::null());
        }
        let service = lab.server.listen(22)?;
        let contestant = Self {
            lab,
            _service: service,
            knock,
            revoke,
        };
        if contestant.lab.client.connect(address())? == Outcome::Open {
            bail!("the port is open before anybody has knocked");
        }
        Ok(contestant)
    }

    /// Milliseconds from starting the client to the accepted connection; then the lease is revoked.
    fn open(&mut self) -> anyhow::Result<f64> {
        let (knock, revoke) = (&mut self.knock, &mut self.revoke);
        self.lab.client.enter(|| {
            let started = Instant::now();
            succeed(knock)?;
            connect(started)?;
            let took = started.elapsed().as_secs_f64() * 1e3;
            succeed(revoke)?;
            Ok(took)
        })?
    }
}

/// The first connection that is accepted. Who knocked silently is told nothing, so an attempt may come too early.
fn connect(started: Instant) -> anyhow::Result<()> {
    while TcpStream::connect_timeout(&address(), ATTEMPT).is_err() {
        if started.elapsed() > PATIENCE {
            bail!("the port is not open after the knock");
        }
    }
    Ok(())
}

fn succeed(client: &mut Command) -> anyhow::Result<()> {
    let status = client.status()?;
    if !status.success() {
        bail!("{}: {status}", client.get_program().to_string_lossy());
    }
    Ok(())
}

fn address() -> SocketAddr {
    SocketAddr::from(([10, 77, 1, 1], 22))
}
