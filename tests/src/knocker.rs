//! Knocks by hand: single messages, right and wrong ones, and what comes back for them.

use crate::{gate::KEY, lab::Host};
use anyhow::{Context as _, bail, ensure};
use letmein_common::{
    ResourceId, UserId,
    hmac::{Auth, KeyedStates},
    wire::challenge::{LEN, Message, NO_TOKEN, Operation},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How long an answer may take that has to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an answer is waited for that had its chance already.
const MOMENT: Duration = Duration::from_millis(50);
/// More than any answer has.
const ROOM: usize = 4 * LEN;

/// What a message says, before it is signed.
#[derive(Clone, Copy)]
pub struct Draft {
    /// KNOCK at first.
    pub operation: Operation,
    /// 00000001 at first, alice.
    pub user: u32,
    /// 00000001 at first, ssh.
    pub resource: u32,
    /// The key to sign with: [`KEY`] at first.
    pub key: [u8; 32],
    /// The challenge to answer: none at first.
    pub token: Auth,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            operation: Operation::Knock,
            user: 1,
            resource: 1,
            key: KEY,
            token: NO_TOKEN,
        }
    }
}

impl Draft {
    /// The message on the wire, with a salt that no other one of this process has.
    #[must_use]
    pub fn sign(&self) -> [u8; LEN] {
        static SALT: AtomicU64 = AtomicU64::new(0);
        Message::authenticated(
            self.operation,
            UserId(self.user),
            ResourceId(self.resource),
            SALT.fetch_add(1, Ordering::Relaxed).to_be_bytes(),
            &KeyedStates::new(&self.key),
            &self.token,
        )
        .to_bytes()
    }

    /// The answer to this challenge about the same.
    #[must_use]
    pub fn response(&self, challenge: &Message) -> Self {
        Self {
            operation: Operation::Response,
            token: challenge.auth,
            ..*self
        }
    }
}

/// A UDP socket for one gate.
pub struct Udp {
    socket: UdpSocket,
    gate: SocketAddr,
}

impl Udp {
    /// On `host`, for the control port at `gate`.
    pub fn new(host: &Host, gate: SocketAddr) -> anyhow::Result<Self> {
        let any = if gate.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = host.enter(|| {
            let socket = UdpSocket::bind(any)?;
            socket.connect(gate)?;
            io::Result::Ok(socket)
        })??;
        Ok(Self { socket, gate })
    }

    /// The port that its datagrams come from.
    pub fn port(&self) -> anyhow::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Sends a datagram.
    pub fn send(&self, datagram: &[u8]) -> anyhow::Result<()> {
        self.socket.send(datagram)?;
        Ok(())
    }

    /// The answer that has to come.
    pub fn answer(&self) -> anyhow::Result<Message> {
        let answer = self.receive(PATIENCE)?.context("no answer")?;
        parse(&answer)
    }

    /// The answer, if there is one by now. The gate is known to have got this far when it has answered a genuine knock
    /// that `host`, the socket's, sends after what was sent before.
    pub fn answer_by_now(&self, host: &Host) -> anyhow::Result<Option<Message>> {
        let later = Self::new(host, self.gate)?;
        later.send(&Draft::default().sign())?;
        later.answer()?;
        let answer = self.receive(MOMENT)?.map(|answer| parse(&answer)).transpose()?;
        ensure!(answer.is_none() || self.receive(MOMENT)?.is_none(), "two answers");
        Ok(answer)
    }

    fn receive(&self, patience: Duration) -> anyhow::Result<Option<Vec<u8>>> {
        self.socket.set_read_timeout(Some(patience))?;
        let mut buffer = [0; ROOM];
        match self.socket.recv(&mut buffer) {
            Ok(length) => Ok(Some(buffer[..length].to_vec())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A TCP connection to a gate.
pub struct Tcp(TcpStream);

impl Tcp {
    /// From `host` to the control port at `gate`.
    pub fn new(host: &Host, gate: SocketAddr) -> anyhow::Result<Self> {
        let any = if gate.is_ipv4() { "0.0.0.0" } else { "::" };
        Self::new_from(host, any.parse()?, gate)
    }

    /// From this address of `host`.
    pub fn new_from(host: &Host, source: IpAddr, gate: SocketAddr) -> anyhow::Result<Self> {
        let socket = host.enter(|| {
            let socket = Socket::new(Domain::for_address(gate), Type::STREAM, Some(Protocol::TCP))?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
            socket.connect_timeout(&gate.into(), PATIENCE)?;
            io::Result::Ok(socket)
        })??;
        Self::over(socket.into(), PATIENCE)
    }

    /// Over this connection. An answer may take so long.
    pub fn over(stream: TcpStream, patience: Duration) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Self(stream))
    }

    /// Sends bytes. Fails if the gate has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Sends no more.
    pub fn finish(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    /// The next message, or none if the gate closes the connection instead. One of both has to happen.
    pub fn answer(&mut self) -> anyhow::Result<Option<Message>> {
        let mut answer = [0; LEN];
        let mut length = 0;
        while length < LEN {
            match self.0.read(&mut answer[length..]) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => bail!("no answer: {error}"),
            }
        }
        match length {
            0 => Ok(None),
            _ => parse(&answer[..length]).map(Some),
        }
    }
}

fn parse(answer: &[u8]) -> anyhow::Result<Message> {
    ensure!(answer.len() == LEN, "{} bytes for an answer", answer.len());
    Message::parse(answer).map_err(|malformed| anyhow::anyhow!("{malformed:?}"))
}
