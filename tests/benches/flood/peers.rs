//! The others: letmein 12, fwknop and knockd, each as its package has it, with its own client.

use super::{
    contestant::{self, Contestant},
    kinds::{self, Kind, Macs, Template},
};
use anyhow::{Context as _, bail, ensure};
use aya::{
    Ebpf,
    programs::{Xdp, xdp::XdpMode},
};
use letmein_tests::{
    figures,
    gate::{KEY, program},
    lab::Host,
    peer,
};
use nix::unistd::Pid;
use std::{
    fs::{self, File},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Keys of fwknop, in base64: its cipher's and its HMAC's.
const KEYS: [&str; 2] = [
    "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo=",
    "W1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1s=",
];
/// Where fwknop's packets go.
const SPA: u16 = 62_201;
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(20);

/// Over UDP, as ours.
pub fn letmein_12() -> anyhow::Result<Contestant> {
    let (lab, service) = contestant::lab()?;
    let bare = accept_frames(&lab.server)?;
    let ruleset = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nftables.conf");
    lab.server.run("nft", &["--file", &ruleset.to_string_lossy()])?;
    let key = peer::hexadecimal(&KEY);
    let servers = peer::Servers::start(
        &lab.server,
        &format!(
            "[GENERAL]\ndebug = true\nport = 5800 / udp\n\
             [NFTABLES]\nfamily = inet\ntable = filter\nchain-input = LETMEIN-INPUT\n\
             [KEYS]\n00000001 = {key}\n[RESOURCES]\n00000001 = port: 22 / users: 00000001\n"
        ),
    )?;
    let client = peer::Client::new(&format!(
        "[CLIENT]\ndefault-user = 00000001\n[KEYS]\n00000001 = {key}\n[RESOURCES]\n00000001 = port: 22\n"
    ))?;
    Ok(Contestant {
        kinds: kinds::of_challenge(),
        lab,
        processes: servers.processes(),
        knock: Box::new(move |_| client.command(&["knock", "10.77.1.1", "22", "-U"])),
        _keep: vec![Box::new(servers), Box::new(service), Box::new(bare)],
    })
}

/// With Rijndael and an HMAC, and rules by iptables, as it comes.
pub fn fwknop() -> anyhow::Result<Contestant> {
    let (lab, service) = contestant::lab()?;
    let bare = accept_frames(&lab.server)?;
    for rule in [
        "-P INPUT ACCEPT",
        "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
        "-A INPUT -p tcp --dport 22 -j DROP",
    ] {
        lab.server.run("iptables", &rule.split(' ').collect::<Vec<_>>())?;
    }
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    let [cipher, hmac] = KEYS;
    fs::write(
        path("access.conf"),
        format!(
            "SOURCE ANY\nOPEN_PORTS tcp/22\nKEY_BASE64 {cipher}\nHMAC_KEY_BASE64 {hmac}\nFW_ACCESS_TIMEOUT 5\n"
        ),
    )?;
    fs::write(
        path("fwknopd.conf"),
        "PCAP_INTF to-peer1;\nFIREWALL_EXE /usr/sbin/iptables;\n",
    )?;
    let server = unpacked("fwknop-server", "usr/sbin/fwknopd")?;
    let mut command = lab.server.command(&server.to_string_lossy());
    libraries(&mut command)?
        .arg("--foreground")
        .args(["--config-file", &path("fwknopd.conf").to_string_lossy()])
        .args(["--access-file", &path("access.conf").to_string_lossy()])
        .args(["--run-dir", &folder.path().to_string_lossy()]);
    let server = Running::start(command, &path("log"))?;
    wait_for(&path("log"), "Starting fwknopd main event loop")?;
    let client = unpacked("fwknop-client", "usr/bin/fwknop")?;
    let knock = move |source: &str, gate: &str| {
        let mut command = Command::new(&client);
        command
            .args(["-A", "tcp/22", "-a", source, "-D", gate])
            .args(["--key-base64-rijndael", cipher, "--key-base64-hmac", hmac])
            .args(["--use-hmac", "--no-save-args", "--no-rc-file"]);
        command
    };
    let packet = {
        let mut command = knock("10.80.255.1", "127.0.0.1");
        libraries(&mut command)?;
        recorded(&lab.client, command)?
    };
    let forged = packet.clone();
    let processes = vec![server.pid()];
    let folders = libraries_path()?;
    Ok(Contestant {
        kinds: vec![
            Kind {
                name: "junk",
                template: Box::new(|macs| macs.udp(SPA, &[0; 88], 0..11)),
            },
            Kind {
                name: "forged",
                template: Box::new(move |macs: Macs| Template {
                    letters: true,
                    ..macs.udp(SPA, &forged, 0..11)
                }),
            },
            Kind {
                name: "replayed",
                template: Box::new(move |macs| macs.udp(SPA, &packet, 0..0)),
            },
            kinds::syns("SYNs", 22),
        ],
        lab,
        processes,
        knock: Box::new(move |source| {
            let mut command = knock(&source.to_string(), "10.77.1.1");
            command.env("LD_LIBRARY_PATH", &folders);
            command
        }),
        _keep: vec![
            Box::new(server),
            Box::new(service),
            Box::new(bare),
            Box::new(folder),
        ],
    })
}

/// With three SYNs, and a set of nftables that it adds elements to.
pub fn knockd() -> anyhow::Result<Contestant> {
    let (lab, service) = contestant::lab()?;
    let bare = accept_frames(&lab.server)?;
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    fs::write(
        path("rules"),
        "table inet gate {\n set open { type ipv4_addr; flags timeout; }\n chain input {\n  \
         type filter hook input priority 0;\n  ct state established accept\n  \
         ip saddr @open tcp dport 22 accept\n  tcp dport 22 drop\n }\n}\n",
    )?;
    lab.server
        .run("nft", &["--file", &path("rules").to_string_lossy()])?;
    fs::write(
        path("knockd.conf"),
        "[options]\n\tlogfile = /dev/null\n[open]\n\tsequence = 7000,8000,9000\n\tseq_timeout = 5\n\t\
         tcpflags = syn\n\tcommand = /usr/sbin/nft add element inet gate open { %IP% timeout 5s }\n",
    )?;
    let server = unpacked("knockd", "usr/sbin/knockd")?;
    let mut command = lab.server.command(&server.to_string_lossy());
    libraries(&mut command)?
        .args(["--interface", "to-peer1", "--config"])
        .arg(path("knockd.conf"))
        .args(["--pidfile"])
        .arg(path("pid"));
    let server = Running::start(command, &path("log"))?;
    // It says nothing. Its packet socket is what there is to see.
    let deadline = Instant::now() + PATIENCE;
    while lab.server.run("cat", &["/proc/net/packet"])?.lines().count() < 2 {
        ensure!(
            Instant::now() < deadline,
            "knockd: {}",
            fs::read_to_string(path("log"))?
        );
        sleep(GLANCE);
    }
    let client = unpacked("knockd", "usr/bin/knock")?;
    let processes = vec![server.pid()];
    Ok(Contestant {
        kinds: vec![
            Kind {
                name: "junk",
                template: Box::new(|macs| macs.udp(SPA, &[0; 88], 0..11)),
            },
            kinds::syns("first of the sequence", 7000),
            kinds::syns("SYNs", 22),
        ],
        lab,
        processes,
        knock: Box::new(move |_| {
            let mut command = Command::new(&client);
            command.args(["10.77.1.1", "7000", "8000", "9000"]);
            command
        }),
        _keep: vec![
            Box::new(server),
            Box::new(service),
            Box::new(bare),
            Box::new(folder),
        ],
    })
}

/// Without an XDP program a veth takes no frames from another one. This one only passes.
pub fn accept_frames(server: &Host) -> anyhow::Result<Ebpf> {
    let mut bare = Ebpf::load(&figures::object("bare.bpf.o")?)?;
    let program: &mut Xdp = bare
        .program_mut("bare")
        .context("bare.bpf.o has no program")?
        .try_into()?;
    program.load()?;
    server.enter(|| program.attach("to-peer1", XdpMode::Driver))??;
    Ok(bare)
}

/// What a client sends to fwknop's port on its own host.
fn recorded(host: &Host, mut command: Command) -> anyhow::Result<Vec<u8>> {
    host.enter(|| {
        let socket = UdpSocket::bind(("127.0.0.1", SPA))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("fwknop: {}", String::from_utf8_lossy(&output.stderr));
        }
        let mut packet = vec![0; 2048];
        let length = socket.recv(&mut packet)?;
        packet.truncate(length);
        Ok(packet)
    })?
}

/// A file of a package that `cargo xtask bench` has unpacked.
fn unpacked(package: &str, file: &str) -> anyhow::Result<PathBuf> {
    program("peers/bin/letmein")?
        .ancestors()
        .map(|folder| folder.join("gates").join(package).join(file))
        .find(|path| path.exists())
        .with_context(|| format!("{package} is not unpacked: run this by `cargo xtask bench`"))
}

fn libraries_path() -> anyhow::Result<String> {
    let of = |package| unpacked(package, "usr/lib/x86_64-linux-gnu");
    let folders: Result<Vec<_>, _> = ["libfko3", "libgpgme11", "libassuan0"]
        .into_iter()
        .map(of)
        .collect();
    let folders = folders?;
    let names: Vec<_> = folders.iter().map(|folder| folder.to_string_lossy()).collect();
    Ok(names.join(":"))
}

fn libraries(command: &mut Command) -> anyhow::Result<&mut Command> {
    Ok(command.env("LD_LIBRARY_PATH", libraries_path()?))
}

/// A server that ends with its owner.
struct Running(Child);

impl Running {
    fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let file = File::create(log)?;
        command.stdout(file.try_clone()?).stderr(file);
        Ok(Self(command.spawn()?))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }
}

/// Waits until a server has written this into its log.
fn wait_for(log: &Path, text: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = fs::read_to_string(log)?;
        if said.contains(text) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("waiting for {text:?}: {said}");
        }
        sleep(GLANCE);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
