//! The others: letmein 12, fwknop and knockd, each as its package has it, with its own client.

use super::{
    contestant::{self, Contestant},
    kinds::{self, Kind},
    packages::{libraries, libraries_path, unpacked},
    running::Running,
    taken,
};
use anyhow::bail;
use letmein_tests::{bare::accept_frames, flood::Template, gate::KEY, lab::Host, peer};
use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
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

/// Over UDP, as ours.
pub fn letmein_12() -> anyhow::Result<Contestant> {
    let (lab, service) = contestant::lab()?;
    let bare = accept_frames(&lab.server, "to-peer1")?;
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
    let mut kinds = kinds::of_challenge();
    kinds.push(kinds::of_shield().unseen());
    Ok(Contestant {
        kinds,
        lab,
        processes: servers.processes(),
        knock: Some(Box::new(move |_| {
            client.command(&["knock", "10.77.1.1", "22", "-U"])
        })),
        taken: taken::by_udp_sockets(servers.processes()[0]),
        _keep: vec![Box::new(servers), Box::new(service), Box::new(bare)],
    })
}

/// With Rijndael and an HMAC, and rules by iptables, as it comes.
pub fn fwknop() -> anyhow::Result<Contestant> {
    let (lab, service) = contestant::lab()?;
    let bare = accept_frames(&lab.server, "to-peer1")?;
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
    server.wait_for("Starting fwknopd main event loop")?;
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
            junk(),
            Kind::new("forged", move |macs| Template {
                letters: true,
                ..macs.udp(kinds::GATE, SPA, &forged, 0..11)
            }),
            Kind::new("replayed", move |macs| macs.udp(kinds::GATE, SPA, &packet, 0..0)),
            kinds::of_shield().unseen(),
        ],
        lab,
        processes,
        knock: Some(Box::new(move |source| {
            let mut command = knock(&source.to_string(), "10.77.1.1");
            command.env("LD_LIBRARY_PATH", &folders);
            command
        })),
        taken: taken::by_packet_socket(server.pid())?,
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
    let bare = accept_frames(&lab.server, "to-peer1")?;
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
    server.wait_until(|| Ok(lab.server.run("cat", &["/proc/net/packet"])?.lines().count() > 1))?;
    let client = unpacked("knockd", "usr/bin/knock")?;
    let processes = vec![server.pid()];
    Ok(Contestant {
        kinds: vec![
            junk().unseen(),
            kinds::syns("first of the sequence", 7000),
            kinds::of_shield().unseen(),
        ],
        lab,
        processes,
        knock: Some(Box::new(move |_| {
            let mut command = Command::new(&client);
            command.args(["10.77.1.1", "7000", "8000", "9000"]);
            command
        })),
        taken: taken::by_packet_socket(server.pid())?,
        _keep: vec![
            Box::new(server),
            Box::new(service),
            Box::new(bare),
            Box::new(folder),
        ],
    })
}

/// For fwknop's port.
fn junk() -> Kind {
    Kind::new("junk", |macs| macs.udp(kinds::GATE, SPA, &[0; 88], 0..11))
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
