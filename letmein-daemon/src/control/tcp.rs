//! Knocks over TCP: the four messages on one connection.

use super::limits::Connections;
use crate::{
    config::Config,
    protocol::{self, Refused, Stage},
    server::State,
};
use letmein_common::{
    hmac::Auth,
    wire::challenge::{LEN, Malformed, Message, Operation},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{cell::RefCell, io, net::IpAddr, net::SocketAddr, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::spawn_local,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

/// Connections that the kernel completes before they are accepted.
const BACKLOG: i32 = 256;
/// How long to wait when the process has run out of file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Listens on `address`.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves connections for ever.
pub async fn serve(listener: TcpListener, connections: Rc<RefCell<Connections>>, state: Rc<State>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let source = peer.ip().to_canonical();
                if !connections.borrow_mut().admit(source) {
                    debug!("{source} holds all the connections that one source may");
                    continue;
                }
                let task = spawn_local(serve_one(stream, source, Rc::clone(&state)));
                connections.borrow_mut().add(source, task.abort_handle());
            }
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                sleep(EXHAUSTED).await;
            }
        }
    }
}

/// One exchange. The whole of it has `control-timeout`, so that no trickle of bytes holds a place for longer.
async fn serve_one(mut stream: TcpStream, source: IpAddr, state: Rc<State>) {
    let finish = |begun_with, token: &Auth, response: &Message| {
        let mut leases = state.leases.borrow_mut();
        protocol::finish(&state.config, &mut leases, begun_with, token, response, source)
    };
    let exchange = serve_stream(&mut stream, source, &state.config, finish);
    match timeout(state.config.gate.control_timeout, exchange).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("TCP knock from {source}: {error}"),
        Err(_late) => debug!("TCP knock from {source}: took longer than gate.control-timeout"),
    }
}

/// The exchange on any stream. `finish` does what a RESPONSE is for, if it proves the key for this token.
pub async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    source: IpAddr,
    config: &Config,
    finish: impl FnOnce(Operation, &Auth, &Message) -> Result<[u8; LEN], Refused>,
) -> io::Result<()> {
    if let Err(refused) = exchange(stream, source, config, finish).await?
        && let Some(answer) = refused.answer(config.gate.error_policy)
    {
        stream.write_all(&answer).await?;
    }
    stream.shutdown().await
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    source: IpAddr,
    config: &Config,
    finish: impl FnOnce(Operation, &Auth, &Message) -> Result<[u8; LEN], Refused>,
) -> io::Result<Result<(), Refused>> {
    let Ok(first) = read(stream).await? else {
        return Ok(Err(Refused::MALFORMED));
    };
    if let Err(refused) = protocol::check_first(config, &first, source) {
        return Ok(Err(refused));
    }
    let Some(token) = protocol::fresh_token() else {
        return Ok(Err(Refused::at(Stage::BasicAuth, &first)));
    };
    stream.write_all(&protocol::challenge(&first, &token)).await?;

    let response = read(stream).await?.ok().filter(|response| {
        let same = response.user == first.user && response.resource == first.resource;
        same && response.operation == Operation::Response
    });
    let Some(response) = response else {
        return Ok(Err(Refused::at(Stage::BasicAuth, &first)));
    };
    match finish(first.operation, &token, &response) {
        Ok(come_in) => stream.write_all(&come_in).await.map(Ok),
        Err(refused) => Ok(Err(refused)),
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Result<Message, Malformed>> {
    let mut bytes = [0; LEN];
    stream.read_exact(&mut bytes).await?;
    Ok(Message::parse(&bytes))
}
