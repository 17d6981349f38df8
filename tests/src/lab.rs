//! Hosts: network namespaces joined by veth pairs, made for one test and removed after it.

use anyhow::{Context as _, bail};
use nix::sched::{CloneFlags, setns};
use std::{
    fs::File,
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

/// How long a connection attempt may take that has to succeed, a SYN that is sent again after a second included.
const PATIENCE: Duration = Duration::from_millis(1200);

/// A server and two peers, each peer on a network of its own: `10.77.1.0/24` and `fd77:1::/64`, `10.77.2.0/24` and
/// `fd77:2::/64`. The server is number 1 of each network, the peer number 2.
pub struct Lab {
    /// The host with the gate.
    pub server: Host,
    /// The host that knocks.
    pub client: Host,
    /// A host that does not.
    pub other: Host,
}

/// One network namespace.
pub struct Host {
    name: String,
}

/// What a connection attempt met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A listener.
    Open,
    /// A reset.
    Refused,
    /// Nothing.
    Silent,
}

impl Lab {
    /// Makes the hosts. Needs root.
    pub fn new() -> anyhow::Result<Self> {
        let [server, client, other] = ["server", "client", "other"].map(Host::new);
        let lab = Self {
            server: server?,
            client: client?,
            other: other?,
        };
        lab.join(1)?;
        lab.join(2)?;
        Ok(lab)
    }

    /// Joins peer 1 (the client) or 2 (the other) to the server, by the server's interface `to-peer1` or `to-peer2`.
    pub fn join(&self, number: u8) -> anyhow::Result<()> {
        let peer = if number == 1 { &self.client } else { &self.other };
        self.connect(number, &format!("to-peer{number}"), peer)
    }

    /// A host behind the server, which forwards for everybody from now on: number 2 of `10.77.3.0/24` and `fd77:3::/64`, by
    /// way of the server's interface `inside0`.
    pub fn inside(&self) -> anyhow::Result<Host> {
        let inside = Host::new("inside")?;
        self.connect(3, "inside0", &inside)?;
        let forward = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";
        self.server.run("sh", &["-c", forward])?;
        for (number, host) in [(1, &self.client), (2, &self.other), (3, &inside)] {
            for via in [format!("10.77.{number}.1"), format!("fd77:{number}::1")] {
                ip(&["-n", &host.name, "route", "add", "default", "via", &via])?;
            }
        }
        // Until its link-local addresses are found to be unique, a router does not ask for its neighbours.
        for host in [&self.server, &inside] {
            while host.run("ip", &["-6", "address"])?.contains("tentative") {
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(inside)
    }

    /// A cable from the server to a peer, and a network with this number on it.
    fn connect(&self, number: u8, near: &str, peer: &Host) -> anyhow::Result<()> {
        let (server, far) = (&self.server, "to-server");
        let near_end = ["-n", &server.name, "link", "add", near, "type", "veth"];
        let far_end = ["peer", "name", far, "netns", &peer.name];
        ip(&[&near_end[..], &far_end[..]].concat())?;
        for (host, device, last) in [(server, near, 1), (peer, far, 2)] {
            let v4 = format!("10.77.{number}.{last}/24");
            let v6 = format!("fd77:{number}::{last}/64");
            ip(&["-n", &host.name, "addr", "add", &v4, "dev", device])?;
            ip(&["-n", &host.name, "addr", "add", &v6, "dev", device, "nodad"])?;
            ip(&["-n", &host.name, "link", "set", device, "up"])?;
        }
        Ok(())
    }
}

impl Host {
    /// A host that nothing is connected to.
    pub fn new(role: &str) -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let host = Self {
            name: format!("lm-{}-{number}-{role}", std::process::id()),
        };
        ip(&["netns", "add", &host.name]).context("the tests make network namespaces: run them as root")?;
        ip(&["-n", &host.name, "link", "set", "lo", "up"])?;
        Ok(host)
    }

    /// Its name for `ip netns` and `ip link`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs on this host.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name, program])
            .stdin(Stdio::null());
        command
    }

    /// Runs a program on this host to its end, which has to be a good one, and returns what it printed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.command(program).args(arguments).output()?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{program} {}: {}", arguments.join(" "), error.trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs `work` with this host's network.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        let namespace = File::open(format!("/run/netns/{}", self.name))?;
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(namespace, CloneFlags::CLONE_NEWNET)?;
                anyhow::Ok(work())
            });
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Listens on TCP `port` of all addresses. Connections are completed by the kernel.
    pub fn listen(&self, port: u16) -> anyhow::Result<TcpListener> {
        self.enter(|| TcpListener::bind((IpAddr::from([0_u8; 16]), port)))?
            .context("cannot listen")
    }

    /// Tries a TCP connection from this host.
    pub fn connect(&self, to: SocketAddr) -> anyhow::Result<Outcome> {
        let attempt = self.enter(|| TcpStream::connect_timeout(&to, PATIENCE))?;
        match attempt.map_err(|error| error.kind()) {
            Ok(_) => Ok(Outcome::Open),
            Err(io::ErrorKind::ConnectionRefused) => Ok(Outcome::Refused),
            Err(io::ErrorKind::TimedOut) => Ok(Outcome::Silent),
            Err(kind) => bail!("connecting to {to}: {kind}"),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The veth pairs go with their namespaces.
        let _gone = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .context("cannot start ip; install iproute2")?;
    if !output.status.success() {
        bail!(
            "ip {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
