//! The control port's sockets. The warden binds them, and hands them to the gatekeeper.

use crate::config::Config;
use anyhow::Context as _;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    thread::sleep,
    time::{Duration, Instant},
};

/// Connections that the kernel completes before they are accepted.
const BACKLOG: i32 = 256;
/// How long a port may be taken: the gatekeeper of a warden that was killed a moment ago is killed by the kernel.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

/// All of them, with their addresses.
#[derive(Default)]
pub struct Sockets {
    /// For knocks over UDP.
    pub udp: Vec<(SocketAddr, OwnedFd)>,
    /// For knocks over TCP.
    pub tcp: Vec<(SocketAddr, OwnedFd)>,
}

impl Sockets {
    /// Binds what the configuration asks for.
    pub fn bind(config: &Config) -> anyhow::Result<Self> {
        Self::default().change(config)
    }

    /// Those that this configuration asks for: these, where they are the same, so that nothing that waits in one is lost.
    pub fn change(&self, config: &Config) -> anyhow::Result<Self> {
        let addresses = || {
            let addresses = config.gate.addresses.iter();
            addresses.map(|address| SocketAddr::new(*address, config.gate.port))
        };
        let bind_all = |protocol: &str, there: &[(SocketAddr, OwnedFd)], bind: fn(SocketAddr) -> _| {
            let bound = addresses().map(|address| {
                let there = there.iter().find(|(bound, _)| *bound == address);
                let socket = match there {
                    Some((_, socket)) => socket.try_clone(),
                    None => patiently(|| bind(address)),
                };
                let socket = socket.with_context(|| {
                    format!(
                        "cannot listen on {protocol} {address}; is another program on that port (`ss -lnp`), or is \
                         the address in gate.addresses not this machine's?"
                    )
                })?;
                Ok((address, socket))
            });
            bound.collect::<anyhow::Result<Vec<_>>>()
        };
        Ok(Self {
            udp: if config.udp_socket() {
                bind_all("udp", &self.udp, bind_udp)?
            } else {
                Vec::new()
            },
            tcp: if config.gate.tcp {
                bind_all("tcp", &self.tcp, bind_tcp)?
            } else {
                Vec::new()
            },
        })
    }
}

fn patiently(bind: impl Fn() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn bind_udp(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn bind_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
