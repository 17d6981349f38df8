//! Who is measured: hosts, a server, and the client that knocks on it.

use super::{
    kinds::{GATE, Kind, Macs},
    taken::{self, Taken},
};
use anyhow::{Context as _, ensure};
use letmein_tests::lab::Lab;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{Shutdown, shutdown},
    unistd::Pid,
};
use rustix::process::{PidfdFlags, pidfd_open};
use std::{
    any::Any,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Longer is a failure.
const PATIENCE: Duration = Duration::from_secs(1);
/// A thousand times what an attempt takes that gets through.
const ATTEMPT: Duration = Duration::from_millis(5);

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

/// What is behind the port. It takes every connection and ends it: the kernel completes no more than 128 for who takes none.
pub struct Service(TcpListener);

impl Service {
    fn new(listener: TcpListener) -> anyhow::Result<Self> {
        let taking = listener.try_clone()?;
        thread::spawn(move || while taking.accept().is_ok() {});
        Ok(Self(listener))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Ends the thread.
        let _closed = shutdown(self.0.as_raw_fd(), Shutdown::Both);
    }
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
        Ok(Macs(
            mac(&self
                .lab
                .client
                .run("cat", &["/sys/class/net/to-server/address"])?)?,
            mac(&self.lab.server.run("cat", &["/sys/class/net/to-peer1/address"])?)?,
        ))
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
        self.lab.client.enter(|| {
            let started = Instant::now();
            let mut client = knock(source)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            if !ends(&client, PATIENCE)? {
                client.kill()?;
                client.wait()?;
                return Ok(None);
            }
            client.wait()?;
            let port = SocketAddr::from((GATE, 22));
            while TcpStream::connect_timeout(&port, ATTEMPT).is_err() {
                if started.elapsed() > PATIENCE {
                    return Ok(None);
                }
            }
            Ok(Some(started.elapsed().as_secs_f64() * 1e3))
        })?
    }

    /// The port is closed before anybody knocks, and a knock opens it: else nothing would be measured.
    pub fn verify(&self) -> anyhow::Result<()> {
        let Some(knock) = &self.knock else {
            return Ok(());
        };
        let closed = self
            .lab
            .client
            .enter(|| TcpStream::connect_timeout(&SocketAddr::from((GATE, 22)), ATTEMPT).is_err())?;
        ensure!(closed, "the port is open before anybody has knocked");
        for _ in 0..3 {
            if self.open(knock)?.is_some() {
                return Ok(());
            }
        }
        anyhow::bail!("knocks open nothing")
    }
}

/// Whether the process ends in this time. Looking again and again would cost what is measured.
fn ends(process: &Child, time: Duration) -> anyhow::Result<bool> {
    let id = rustix::process::Pid::from_child(process);
    let end = pidfd_open(id, PidfdFlags::empty())?;
    let mut events = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut events, PollTimeout::try_from(time)?)? > 0)
}

/// Each only once in this process.
fn fresh_address() -> Ipv4Addr {
    static NUMBER: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(10, 80, high, low)
}

fn mac(text: &str) -> anyhow::Result<[u8; 6]> {
    let mut mac = [0; 6];
    let mut bytes = text.trim().split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(bytes.next().context("a short address")?, 16)?;
    }
    Ok(mac)
}
