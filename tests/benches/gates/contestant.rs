//! Who is measured: hosts, a server, and the client that knocks on it.

use super::{
    kinds::{GATE, Kind},
    taken::{self, Taken},
};
use anyhow::ensure;
use letmein_tests::{
    flood::Macs,
    guest::{Service, connects, knock_and_connect},
    lab::Lab,
};
use nix::unistd::Pid;
use std::{
    any::Any,
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
};

/// Starts one.
pub type Start = fn() -> anyhow::Result<Contestant>;

/// The client, for this source address.
pub type Knock = Box<dyn Fn(Ipv4Addr) -> Command + Send + Sync>;

/// A server behind which port 22 is, and who knocks on it.
pub struct Contestant {
    pub kinds: Vec<Kind>,
    pub lab: Lab,
    /// The first processes of the server.
    pub processes: Vec<Pid>,
    /// None where nothing can be opened.
    pub knock: Option<Knock>,
    /// How many packets the gate itself has taken until now.
    pub taken: Taken,
    /// What has to live as long.
    pub _keep: Vec<Box<dyn Any>>,
}

/// Hosts for a contestant: the client has 10.80.0.0/16 besides its own address.
pub fn lab() -> anyhow::Result<(Lab, Service)> {
    let lab = Lab::new()?;
    let service = Service::new(lab.server.listen(22)?)?;
    lab.client
        .run("ip", &["route", "add", "local", "10.80.0.0/16", "dev", "lo"])?;
    // Answers to forged sources have to go somewhere, as they do on the internet.
    for route in ["10.80.0.0/16", "default"] {
        lab.server
            .run("ip", &["route", "add", route, "via", "10.77.1.2"])?;
    }
    Ok((lab, service))
}

impl Contestant {
    /// Addresses of the frames that the client's host sends to the server.
    pub fn macs(&self) -> anyhow::Result<Macs> {
        Macs::between((&self.lab.client, "to-server"), (&self.lab.server, "to-peer1"))
    }

    /// Packets that the server's interface has taken.
    pub fn received(&self) -> anyhow::Result<u64> {
        taken::by_interface(&self.lab.server)()
    }

    /// Knocks from an address that has never knocked before. Milliseconds from starting the client to the accepted
    /// connection, if that was within a second.
    pub fn open(&self, knock: &Knock) -> anyhow::Result<Option<f64>> {
        let source = fresh_address();
        let route = ["route", "replace", "10.77.1.1", "dev", "to-server", "src"];
        self.lab
            .client
            .run("ip", &[&route[..], &[&source.to_string()]].concat())?;
        let opened = self
            .lab
            .client
            .enter(|| knock_and_connect(knock(source), port()))??;
        Ok(opened.map(|opened| opened.milliseconds))
    }

    /// The port is closed before anybody knocks, and a knock opens it: else nothing would be measured.
    pub fn verify(&self) -> anyhow::Result<()> {
        let Some(knock) = &self.knock else {
            return Ok(());
        };
        let open = self.lab.client.enter(|| connects(port()))?;
        ensure!(!open, "the port is open before anybody has knocked");
        for _ in 0..3 {
            if self.open(knock)?.is_some() {
                return Ok(());
            }
        }
        anyhow::bail!("knocks open nothing")
    }
}

/// The protected one.
fn port() -> SocketAddr {
    SocketAddr::from((GATE, 22))
}

/// Each only once in this process.
fn fresh_address() -> Ipv4Addr {
    static NUMBER: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(10, 80, high, low)
}
