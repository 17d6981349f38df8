//! Knocks over UDP.
//!
//! Answers leave from the address that the question was sent to: a client's connected socket takes no others,
//! and a machine may have many.

use crate::{
    clock,
    exchange::Exchanges,
    protocol::{self, Refused, Stage},
    server::State,
    silent,
    userspace_gate::{UserspaceGate, Verdict},
    xdp::KernelGate,
};
use letmein_common::{
    maps::{Pending, PendingKey},
    source::Address,
    wire::challenge::{LEN, Malformed, Message, Operation},
};
use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
    },
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    cell::RefCell,
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd as _,
    rc::Rc,
    time::Duration,
};
use tokio::{io::Interest, net::UdpSocket, time::sleep};
use tracing::{error, warn};

/// Longer than any knock, so that a longer datagram is seen to be one.
const BUFFER: usize = 2 * LEN;
/// How long to wait after an error that is not the sender's doing.
const PAUSE: Duration = Duration::from_millis(10);

/// Who checks datagrams before the protocol sees them.
pub enum Gate {
    /// The XDP program, which wants to know the challenges that are pending.
    Kernel(Rc<RefCell<KernelGate>>),
    /// The same checks here.
    Userspace(Rc<UserspaceGate>),
}

/// One bound socket and what it takes to answer.
pub struct Server {
    socket: UdpSocket,
    gate: Rc<Gate>,
    exchanges: Rc<RefCell<Exchanges>>,
    state: Rc<State>,
}

/// A datagram's way back.
struct Origin {
    peer: SocketAddr,
    local: Option<Local>,
}

/// The local address that a datagram was sent to.
#[derive(Clone, Copy)]
enum Local {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

/// Binds `address`.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

impl Server {
    /// Serves `socket`; the gate and the exchanges are shared by all sockets.
    #[must_use]
    pub const fn new(
        socket: UdpSocket,
        gate: Rc<Gate>,
        exchanges: Rc<RefCell<Exchanges>>,
        state: Rc<State>,
    ) -> Self {
        Self {
            socket,
            gate,
            exchanges,
            state,
        }
    }

    /// Answers datagrams for ever.
    pub async fn serve(self) {
        let mut buffer = [0; BUFFER];
        loop {
            let received = self
                .socket
                .async_io(Interest::READABLE, || receive(&self.socket, &mut buffer))
                .await;
            match received {
                Ok((length, origin)) => {
                    if let Some(answer) = self.answer(origin.peer, &buffer[..length]) {
                        // A full send buffer or an unreachable peer: as if the answer were lost on its way.
                        let _lost = send(&self.socket, &origin, &answer);
                    }
                }
                Err(error) => {
                    warn!("cannot receive from the control port: {error}");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn answer(&self, peer: SocketAddr, datagram: &[u8]) -> Option<[u8; LEN]> {
        if let Gate::Userspace(gate) = &*self.gate {
            match gate.judge(&self.state.config, &self.exchanges.borrow(), peer, datagram) {
                Verdict::Pass => {}
                Verdict::Drop => return None,
                Verdict::Silent(knock) => {
                    silent::knock::act(&self.state, &knock);
                    return None;
                }
            }
        }
        let outcome = match Message::parse(datagram) {
            Ok(message) => match message.operation {
                Operation::Knock | Operation::Revoke => self.on_first(peer, &message),
                Operation::Response => self.on_response(peer, &message),
                // What gates say. Two of them would go on for ever about each other's GOAWAY.
                Operation::Challenge | Operation::ComeIn | Operation::GoAway => Ok(None),
            },
            // No answer is longer than its question.
            Err(Malformed::Length) => Ok(None),
            Err(Malformed::Magic | Malformed::Operation) => Err(Refused::MALFORMED),
        };
        outcome.unwrap_or_else(|refused| refused.answer(self.state.config.gate.error_policy))
    }

    /// A KNOCK or REVOKE gets a challenge, and holds no more than an entry in a bounded table.
    fn on_first(&self, peer: SocketAddr, message: &Message) -> Result<Option<[u8; LEN]>, Refused> {
        protocol::check_first(&self.state.config, message, peer.ip().to_canonical())?;
        let token = protocol::fresh_token().ok_or(Refused::at(Stage::BasicAuth, message))?;
        let now = clock::monotonic();
        let timeout = u64::try_from(self.state.config.gate.control_timeout.as_nanos()).unwrap_or(u64::MAX);
        let fresh = Pending {
            token,
            expires: now.saturating_add(timeout),
        };
        let key = exchange_key(peer, message);
        let pending = self
            .exchanges
            .borrow_mut()
            .begin(key, message.operation, fresh, now)
            .pending;
        if let Gate::Kernel(kernel) = &*self.gate
            && let Err(error) = kernel.borrow_mut().expect_response(&key, &pending)
        {
            error!(
                "the XDP program will not let the response pass: {:#}",
                anyhow::Error::from(error)
            );
            return Err(Refused::at(Stage::BasicAuth, message));
        }
        Ok(Some(protocol::challenge(message, &pending.token)))
    }

    fn on_response(&self, peer: SocketAddr, message: &Message) -> Result<Option<[u8; LEN]>, Refused> {
        let key = exchange_key(peer, message);
        let mut exchanges = self.exchanges.borrow_mut();
        let exchange = exchanges
            .get_mut(&key, clock::monotonic())
            .ok_or(Refused::at(Stage::Stranger, message))?;
        if exchange.done {
            let user = self.state.config.user(message.user);
            let proves = user.is_some_and(|user| message.proves(&user.key, &exchange.pending.token));
            return Ok(proves.then(|| protocol::come_in(message)));
        }
        let answer = protocol::finish(
            &self.state.config,
            &mut self.state.leases.borrow_mut(),
            exchange.operation,
            &exchange.pending.token,
            message,
            peer.ip().to_canonical(),
        )?;
        exchange.done = true;
        Ok(Some(answer))
    }
}

fn exchange_key(peer: SocketAddr, message: &Message) -> PendingKey {
    let address = Address::from(peer.ip().to_canonical());
    PendingKey::new(&address, peer.port(), message.user, message.resource)
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Origin)> {
    let mut control = cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let peer = message
        .address
        .as_ref()
        .and_then(socket_address)
        .ok_or(Errno::EAFNOSUPPORT)?;
    let local = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Local::V4(info)),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Local::V6(info)),
        _ => None,
    });
    Ok((message.bytes, Origin { peer, local }))
}

fn send(socket: &UdpSocket, origin: &Origin, answer: &[u8]) -> io::Result<()> {
    let parts = [IoSlice::new(answer)];
    let peer = SockaddrStorage::from(origin.peer);
    let flags = MsgFlags::MSG_DONTWAIT;
    let descriptor = socket.as_raw_fd();
    match origin.local {
        Some(Local::V4(mut info)) => {
            // The routing table chooses the interface.
            info.ipi_ifindex = 0;
            sendmsg(
                descriptor,
                &parts,
                &[ControlMessage::Ipv4PacketInfo(&info)],
                flags,
                Some(&peer),
            )?;
        }
        Some(Local::V6(info)) => {
            sendmsg(
                descriptor,
                &parts,
                &[ControlMessage::Ipv6PacketInfo(&info)],
                flags,
                Some(&peer),
            )?;
        }
        None => {
            sendmsg(descriptor, &parts, &[], flags, Some(&peer))?;
        }
    }
    Ok(())
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::new(v4.ip(), v4.port())));
    }
    let v6 = address.as_sockaddr_in6()?;
    let v6 = SocketAddrV6::new(v6.ip(), v6.port(), v6.flowinfo(), v6.scope_id());
    Some(match IpAddr::from(*v6.ip()).to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), v6.port()),
        IpAddr::V6(_) => SocketAddr::V6(v6),
    })
}
