//! Knocks over UDP.
//!
//! Answers leave from the address that the question was sent to: a client's connected socket takes no others,
//! and a machine may have many.

use crate::{
    clock,
    exchange::Progress,
    gatekeeper::{Gatekeeper, policy::Policy},
    logging::refusals,
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
use tokio::{io::Interest, net::UdpSocket, task::spawn_local, time::sleep};
use tracing::warn;

/// Longer than any knock, so that a longer datagram is seen to be one.
const BUFFER: usize = 2 * LEN;
/// How long to wait after an error that is not the sender's doing.
const PAUSE: Duration = Duration::from_millis(10);

/// One bound socket and what it takes to answer.
pub struct Server {
    socket: Rc<UdpSocket>,
    gatekeeper: Rc<Gatekeeper>,
}

/// A datagram's way back.
#[derive(Clone, Copy)]
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
    pub fn new(socket: UdpSocket, gatekeeper: Rc<Gatekeeper>) -> Self {
        Self {
            socket: Rc::new(socket),
            gatekeeper,
        }
    }

    /// Answers datagrams for ever. What takes the warden is left to tasks of its own, so that nobody waits for whoever
    /// came before.
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
                    } else if let Some(answer) = self.answer(origin, datagram) {
                        self.send(&origin, &answer);
                    }
                }
                Err(error) => {
                    if let Some(untold) = refusals::count("a datagram cannot be received", None) {
                        warn!("cannot receive from the control port: {error}{untold}");
                    }
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

    fn send(&self, origin: &Origin, answer: &[u8]) {
        // A full send buffer or an unreachable peer: as if the answer were lost on its way.
        let _lost = send(&self.socket, origin, answer);
    }

    /// The answer to a datagram, if there is one at once.
    fn answer(&self, origin: Origin, datagram: &[u8]) -> Option<[u8; LEN]> {
        let policy = self.gatekeeper.policy();
        if let Some(gate) = self.gatekeeper.userspace() {
            let verdict = gate.judge(
                &policy,
                &self.gatekeeper.exchanges.borrow(),
                origin.peer,
                datagram,
            );
            match verdict {
                Verdict::Pass => {}
                Verdict::Drop => return None,
                Verdict::Silent(knock) => {
                    silent::knock::act(&self.gatekeeper, &knock);
                    return None;
                }
            }
        }
        let outcome = match Message::parse(datagram) {
            Ok(message) => match message.operation {
                Operation::Knock | Operation::Revoke => self.on_first(&policy, origin, &message),
                Operation::Response => self.on_response(&policy, origin, &message),
                // What gates say. Two of them would go on for ever about each other's GOAWAY.
                Operation::Challenge | Operation::ComeIn | Operation::GoAway => Ok(None),
            },
            // No answer is longer than its question.
            Err(Malformed::Length) => Ok(None),
            Err(Malformed::Magic | Malformed::Operation) => Err(Refused::MALFORMED),
        };
        outcome.unwrap_or_else(|refused| refused.answer(policy.gate.error_policy))
    }

    /// A KNOCK or REVOKE gets a challenge, and holds no more than an entry in a table with room for all users.
    fn on_first(
        &self,
        policy: &Policy,
        origin: Origin,
        message: &Message,
    ) -> Result<Option<[u8; LEN]>, Refused> {
        let from = origin.peer.ip().to_canonical();
        let (user, _) = protocol::check_first(policy, message, from)?;
        protocol::begin(&self.gatekeeper, user, message, from)?;
        let refused = Refused::at(Stage::BasicAuth, message);
        let token = protocol::fresh_token().ok_or(refused)?;
        let now = clock::monotonic();
        let timeout = u64::try_from(policy.gate.control_timeout.as_nanos()).unwrap_or(u64::MAX);
        let fresh = Pending {
            token,
            expires: now.saturating_add(timeout),
        };
        let key = exchange_key(origin.peer, message);
        let pending = {
            let mut exchanges = self.gatekeeper.exchanges.borrow_mut();
            exchanges.begin(key, message.operation, fresh, now)
        };
        let challenge = protocol::challenge(message, &pending.token);
        if policy.gate.in_userspace {
            return Ok(Some(challenge));
        }
        // The XDP program lets no RESPONSE pass that it does not expect.
        let place = self.gatekeeper.enter(user, from).map_err(|_full| refused)?;
        let expect = Action::Expect(key, pending.into());
        self.answer_later(origin, async move |gatekeeper| {
            let expected = gatekeeper.warden.ask(place, expect).await;
            expected.map(|()| challenge).map_err(|_refused| refused)
        });
        Ok(None)
    }

    fn on_response(
        &self,
        policy: &Policy,
        origin: Origin,
        message: &Message,
    ) -> Result<Option<[u8; LEN]>, Refused> {
        let from = origin.peer.ip().to_canonical();
        let key = exchange_key(origin.peer, message);
        let exchange = self.gatekeeper.exchanges.borrow().get(&key, clock::monotonic());
        let exchange = exchange.ok_or(Refused::at(Stage::Stranger, message))?;
        let token = &exchange.pending.token;
        let user = policy.user(message.user);
        let user = user.ok_or(Refused::at(Stage::Stranger, message))?;
        match exchange.progress {
            Progress::Done => {
                return Ok(message
                    .proves(&user.key, token)
                    .then(|| protocol::come_in(message)));
            }
            // It is answered once for all.
            Progress::Acting => return Ok(None),
            Progress::Waiting => {}
        }
        let action = protocol::decide(policy, exchange.operation, token, message, from)?;
        let refused = Refused::at(Stage::FullAuth, message);
        let place = self.gatekeeper.enter(user, from).map_err(|_full| refused)?;
        let advance = move |gatekeeper: &Gatekeeper, progress| {
            let mut exchanges = gatekeeper.exchanges.borrow_mut();
            exchanges.advance(&key, &exchange, progress);
        };
        advance(&self.gatekeeper, Progress::Acting);
        let come_in = protocol::come_in(message);
        self.answer_later(origin, async move |gatekeeper| {
            let outcome = gatekeeper.warden.ask(place, action).await;
            // Whoever was refused may try again.
            let progress = outcome.map_or(Progress::Waiting, |()| Progress::Done);
            advance(gatekeeper, progress);
            outcome.map(|()| come_in).map_err(|_refused| refused)
        });
        Ok(None)
    }

    /// Answers when this has come to an end.
    fn answer_later(
        &self,
        origin: Origin,
        act: impl AsyncFnOnce(&Gatekeeper) -> Result<[u8; LEN], Refused> + 'static,
    ) {
        let server = Self {
            socket: Rc::clone(&self.socket),
            gatekeeper: Rc::clone(&self.gatekeeper),
        };
        spawn_local(async move {
            let outcome = act(&server.gatekeeper).await;
            let policy = server.gatekeeper.policy();
            let answer = outcome.map_or_else(|refused| refused.answer(policy.gate.error_policy), Some);
            if let Some(answer) = answer {
                server.send(&origin, &answer);
            }
        });
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
