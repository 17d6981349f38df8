//! The control port's sockets. The warden binds them, and hands them to the gatekeeper.

use super::inherited;
use crate::config::Config;
use anyhow::Context as _;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    thread::sleep,
    time::{Duration, Instant},
};
use tracing::warn;

/// Connections that the kernel completes before they are accepted: those of a flood that come while something else is
/// done. When there are more, the kernel turns away whoever comes next.
pub(super) const BACKLOG: i32 = 4096;
/// Bytes of datagrams that wait to be read. The kernel's own limit (`net.core.rmem_max`) is some hundred knocks.
const RECEIVE_BUFFER: usize = 4 << 20;
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
    /// Binds what the configuration asks for, where the service manager has not done so.
    pub fn bind(config: &Config) -> anyhow::Result<Self> {
        let inherited = inherited::take()?;
        let sockets = inherited.bind_missing(config, PATIENCE)?;
        inherited.warn_of_all_but(&sockets);
        Ok(sockets)
    }

    fn warn_of_all_but(&self, used: &Self) {
        let of_both = [("udp", &self.udp, &used.udp), ("tcp", &self.tcp, &used.tcp)];
        for (protocol, there, used) in of_both {
            let unused = there
                .iter()
                .filter(|(address, _)| used.iter().all(|(it, _)| it != address));
            for (address, _) in unused {
                warn!(
                    "the service manager listens on {protocol} {address}, which the configuration does not ask for \
                     (port, addresses and transports in section [gate]): nobody is served there"
                );
            }
        }
    }

    /// Those that this configuration asks for: these, where they are the same, so that nothing that waits in one is lost.
    /// Does not wait for one that is taken.
    pub fn change(&self, config: &Config) -> anyhow::Result<Self> {
        self.bind_missing(config, Duration::ZERO)
    }

    fn bind_missing(&self, config: &Config, patience: Duration) -> anyhow::Result<Self> {
        let addresses = || {
            let addresses = config.gate.addresses.iter();
            addresses.map(|address| SocketAddr::new(*address, config.gate.port))
        };
        let bind_all = |protocol: &str, there: &[(SocketAddr, OwnedFd)], bind: fn(SocketAddr) -> _| {
            let bound = addresses().map(|address| {
                let there = there.iter().find(|(bound, _)| *bound == address);
                let socket = match there {
                    Some((_, socket)) => socket.try_clone(),
                    None => patiently(patience, || bind(address)),
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

#[expect(
    clippy::disallowed_methods,
    reason = "only at the start, when nobody is served yet"
)]
fn patiently(patience: Duration, bind: impl Fn() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    let deadline = Instant::now() + patience;
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
    }
    tell_where_packets_go(&socket, address)?;
    make_room(&socket);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Has the kernel keep more datagrams than it does by itself. Without the privilege for that, there is less room.
pub(super) fn make_room(socket: &impl AsFd) {
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        let _as_it_was = setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
    }
}

/// Has the kernel say which address of ours a datagram was sent to, so that it is answered from there.
pub(super) fn tell_where_packets_go(socket: &impl AsFd, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    Ok(())
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
