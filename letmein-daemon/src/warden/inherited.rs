//! Sockets of the control port that the service manager has bound for us (`sd_listen_fds(3)`). It goes on holding them
//! while letmeind is restarted, so a knock that comes meanwhile waits instead of being turned away.

use super::sockets::{BACKLOG, Sockets, make_room, tell_where_packets_go};
use anyhow::Context as _;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use socket2::{Domain, SockRef, Type};
use std::{net::SocketAddr, os::fd::OwnedFd};
use tracing::warn;

/// All that can serve. Whatever else was handed over is closed, and the log says so.
pub fn take() -> anyhow::Result<Sockets> {
    let handed =
        sd_listen_fds::get().context("the service manager's LISTEN_PID or LISTEN_FDS is no number")?;
    let mut sockets = Sockets::default();
    for (name, socket) in handed {
        if let Err(error) = adopt(&mut sockets, socket.into_std()) {
            let name = name.unwrap_or_default();
            warn!("a socket of the service manager's ({name}) is not used: {error:#}");
        }
    }
    Ok(sockets)
}

fn adopt(sockets: &mut Sockets, socket: OwnedFd) -> anyhow::Result<()> {
    // nft, which we start, has no business with it.
    fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    let (kind, address) = identify(&socket)?;
    let known = SockRef::from(&socket);
    known.set_nonblocking(true)?;
    if kind == Type::DGRAM {
        tell_where_packets_go(&socket, address)?;
        make_room(&socket);
        sockets.udp.push((address, socket));
    } else {
        known.listen(BACKLOG)?;
        sockets.tcp.push((address, socket));
    }
    Ok(())
}

fn identify(socket: &OwnedFd) -> anyhow::Result<(Type, SocketAddr)> {
    let socket = SockRef::from(socket);
    let kind = socket.r#type().context("it is no socket")?;
    let address = socket.local_addr()?;
    let address = address.as_socket().context("it is not of IPv4 or IPv6")?;
    // Leases are for the address that the firewall sees.
    if socket.domain()? == Domain::IPV6 && !socket.only_v6()? {
        anyhow::bail!("{address} is for IPv4 as well; set BindIPv6Only=ipv6-only");
    }
    anyhow::ensure!(
        kind == Type::DGRAM || kind == Type::STREAM,
        "it is not of UDP or TCP"
    );
    Ok((kind, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket},
        os::{fd::AsFd as _, unix::net::UnixListener},
    };
    use tempfile::TempDir;

    #[test]
    fn udp_and_tcp_are_adopted_under_their_addresses() {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addresses = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
        let mut sockets = Sockets::default();
        adopt(&mut sockets, udp.into()).unwrap();
        adopt(&mut sockets, tcp.into()).unwrap();
        let [(udp_address, udp)] = &sockets.udp[..] else {
            unreachable!()
        };
        let [(tcp_address, tcp)] = &sockets.tcp[..] else {
            unreachable!()
        };
        assert_eq!((*udp_address, *tcp_address), addresses);
        for socket in [udp, tcp] {
            assert_eq!(
                fcntl(socket.as_fd(), FcntlArg::F_GETFD).unwrap(),
                FdFlag::FD_CLOEXEC.bits()
            );
            assert!(SockRef::from(socket).nonblocking().unwrap());
        }
    }

    #[test]
    fn what_cannot_serve_is_not_adopted() {
        let both_families = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        let folder = TempDir::new().unwrap();
        let local = UnixListener::bind(folder.path().join("socket")).unwrap();
        let file = tempfile::tempfile().unwrap();
        let handed: [(OwnedFd, &str); 3] = [
            (both_families.into(), "BindIPv6Only=ipv6-only"),
            (local.into(), "not of IPv4 or IPv6"),
            (file.into(), "no socket"),
        ];
        for (socket, why) in handed {
            let mut sockets = Sockets::default();
            let error = format!("{:#}", adopt(&mut sockets, socket).unwrap_err());
            assert!(error.contains(why), "{error}");
            assert!(sockets.udp.is_empty() && sockets.tcp.is_empty());
        }
    }
}
