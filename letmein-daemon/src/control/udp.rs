//! Knocks over UDP.
//!
//! Answers leave from the address that the question was sent to: a client's connected socket takes no others,
//! and a machine may have many.

use crate::{
    clock,
    gatekeeper::{Gatekeeper, policy::Policy},
    protocol::{self, Refused, Stage},
    requests::Action,
    silent,
    userspace_gate::Verdict,
};
use letmein_common::{
    maps::{Pending, PendingKey},
    source::Address,
    wire::{
        challenge::{LEN, Malformed, Message, Operation},
        silent::LEN as SILENT_LEN,
    },
};
use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg},
};
use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd as _,
    rc::Rc,
    time::Duration,
};
use tokio::{io::Interest, net::UdpSocket, time::sleep};
use tracing::warn;

/// Longer than any knock, so that a longer datagram is seen to be one.
const BUFFER: usize = 2 * LEN;
/// How long to wait after an error that is not the sender's doing.
const PAUSE: Duration = Duration::from_millis(10);

/// One bound socket and what it takes to answer.
pub struct Server {
    socket: UdpSocket,
    gatekeeper: Rc<Gatekeeper>,
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

impl Local {
    /// The number of the interface that it came by.
    fn interface(self) -> Option<u32> {
        match self {
            Self::V4(info) => u32::try_from(info.ipi_ifindex).ok(),
            Self::V6(info) => Some(info.ipi6_ifindex),
        }
    }
}

impl Server {
    /// Serves `socket`.
    #[must_use]
    pub const fn new(socket: UdpSocket, gatekeeper: Rc<Gatekeeper>) -> Self {
        Self { socket, gatekeeper }
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
                    let datagram = &buffer[..length];
                    if self.is_unheard(datagram) {
                        let interface = origin.local.and_then(Local::interface);
                        self.gatekeeper.unheard.note(origin.peer, interface);
                    } else if let Some(answer) = self.answer(origin.peer, datagram).await {
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

    /// Whether it is as long as a silent knock, which the XDP program would not have let through.
    fn is_unheard(&self, datagram: &[u8]) -> bool {
        let gatekeeper = &self.gatekeeper;
        datagram.len() == SILENT_LEN && gatekeeper.policy().gate.silent && gatekeeper.userspace().is_none()
    }

    async fn answer(&self, peer: SocketAddr, datagram: &[u8]) -> Option<[u8; LEN]> {
        let policy = self.gatekeeper.policy();
        if let Some(gate) = self.gatekeeper.userspace() {
            let verdict = gate.judge(&policy, &self.gatekeeper.exchanges.borrow(), peer, datagram);
            match verdict {
                Verdict::Pass => {}
                Verdict::Drop => return None,
                Verdict::Silent(knock) => {
                    silent::knock::act(&self.gatekeeper, &knock).await;
                    return None;
                }
            }
        }
        let outcome = match Message::parse(datagram) {
            Ok(message) => match message.operation {
                Operation::Knock | Operation::Revoke => self.on_first(&policy, peer, &message).await,
                Operation::Response => self.on_response(&policy, peer, &message).await,
                // What gates say. Two of them would go on for ever about each other's GOAWAY.
                Operation::Challenge | Operation::ComeIn | Operation::GoAway => Ok(None),
            },
            // No answer is longer than its question.
            Err(Malformed::Length) => Ok(None),
            Err(Malformed::Magic | Malformed::Operation) => Err(Refused::MALFORMED),
        };
        outcome.unwrap_or_else(|refused| refused.answer(policy.gate.error_policy))
    }

    /// A KNOCK or REVOKE gets a challenge, and holds no more than an entry in a bounded table.
    async fn on_first(
        &self,
        policy: &Policy,
        peer: SocketAddr,
        message: &Message,
    ) -> Result<Option<[u8; LEN]>, Refused> {
        protocol::check_first(policy, message, peer.ip().to_canonical())?;
        let token = protocol::fresh_token().ok_or(Refused::at(Stage::BasicAuth, message))?;
        let now = clock::monotonic();
        let timeout = u64::try_from(policy.gate.control_timeout.as_nanos()).unwrap_or(u64::MAX);
        let fresh = Pending {
            token,
            expires: now.saturating_add(timeout),
        };
        let key = exchange_key(peer, message);
        let pending = self
            .gatekeeper
            .exchanges
            .borrow_mut()
            .begin(key, message.operation, fresh, now)
            .pending;
        if !policy.gate.in_userspace {
            // The XDP program lets no RESPONSE pass that it does not expect.
            let expect = Action::Expect(key, pending.into());
            let expected = self.gatekeeper.warden.ask(expect).await;
            expected.map_err(|_refused| Refused::at(Stage::BasicAuth, message))?;
        }
        Ok(Some(protocol::challenge(message, &pending.token)))
    }

    async fn on_response(
        &self,
        policy: &Policy,
        peer: SocketAddr,
        message: &Message,
    ) -> Result<Option<[u8; LEN]>, Refused> {
        let key = exchange_key(peer, message);
        let exchange = self
            .gatekeeper
            .exchanges
            .borrow()
            .get(&key, clock::monotonic())
            .ok_or(Refused::at(Stage::Stranger, message))?;
        if exchange.done {
            let user = policy.user(message.user);
            let proves = user.is_some_and(|user| message.proves(&user.key, &exchange.pending.token));
            return Ok(proves.then(|| protocol::come_in(message)));
        }
        let answer = protocol::finish(
            &self.gatekeeper,
            exchange.operation,
            &exchange.pending.token,
            message,
            peer.ip().to_canonical(),
        )
        .await?;
        self.gatekeeper.exchanges.borrow_mut().finish(&key, &exchange);
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
