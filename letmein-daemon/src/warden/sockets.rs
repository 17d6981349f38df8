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

/// All of them.
pub struct Sockets {
    /// For knocks over UDP.
    pub udp: Vec<OwnedFd>,
    /// For knocks over TCP.
    pub tcp: Vec<OwnedFd>,
}

impl Sockets {
    /// Binds what the configuration asks for.
    pub fn bind(config: &Config) -> anyhow::Result<Self> {
        let addresses = || {
            let addresses = config.gate.addresses.iter();
            addresses.map(|address| SocketAddr::new(*address, config.gate.port))
        };
        let bind_all = |protocol: &'static str, bind: fn(SocketAddr) -> io::Result<OwnedFd>| {
            let bound = addresses().map(move |address| {
                patiently(|| bind(address)).with_context(|| {
                    format!(
                        "cannot listen on {protocol} {address}; is another program on that port (`ss -lnp`), or is \
                         the address in gate.addresses not this machine's?"
                    )
                })
            });
            bound.collect::<anyhow::Result<Vec<_>>>()
        };
        Ok(Self {
            udp: if config.udp_socket() {
                bind_all("udp", bind_udp)?
            } else {
                Vec::new()
            },
            tcp: if config.gate.tcp {
                bind_all("tcp", bind_tcp)?
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
                sleep(PAUSE)
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
