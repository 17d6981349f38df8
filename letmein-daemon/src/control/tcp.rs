//! Knocks over TCP: the four messages on one connection.

use crate::{
    gatekeeper::{Gatekeeper, policy::Policy},
    protocol::{self, Refused, Stage},
};
use letmein_common::{
    hmac::Auth,
    wire::challenge::{LEN, Malformed, Message, Operation},
};
use std::{io, net::IpAddr, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::spawn_local,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

/// How long to wait when the process has run out of file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Serves connections for ever.
pub async fn serve(listener: TcpListener, gatekeeper: Rc<Gatekeeper>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let source = peer.ip().to_canonical();
                if !gatekeeper.connections.borrow_mut().admit(source) {
                    debug!("{source} holds all the connections that one source may");
                    continue;
                }
                let task = spawn_local(serve_one(stream, source, Rc::clone(&gatekeeper)));
                gatekeeper
                    .connections
                    .borrow_mut()
                    .add(source, task.abort_handle());
            }
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                sleep(EXHAUSTED).await;
            }
        }
    }
}

/// One exchange. The whole of it has `control-timeout`, so that no trickle of bytes holds a place for longer.
async fn serve_one(mut stream: TcpStream, source: IpAddr, gatekeeper: Rc<Gatekeeper>) {
    let policy = gatekeeper.policy();
    let finish = async |begun_with, token: &Auth, response: &Message| {
        protocol::finish(&gatekeeper, begun_with, token, response, source).await
    };
    let exchange = serve_stream(&mut stream, source, &policy, finish);
    match timeout(policy.gate.control_timeout, exchange).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("TCP knock from {source}: {error}"),
        Err(_late) => debug!("TCP knock from {source}: took longer than gate.control-timeout"),
    }
}

/// The exchange on any stream. `finish` does what a RESPONSE is for, if it proves the key for this token.
pub async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    source: IpAddr,
    policy: &Policy,
    finish: impl AsyncFnOnce(Operation, &Auth, &Message) -> Result<[u8; LEN], Refused>,
) -> io::Result<()> {
    if let Err(refused) = exchange(stream, source, policy, finish).await?
        && let Some(answer) = refused.answer(policy.gate.error_policy)
    {
        stream.write_all(&answer).await?;
    }
    stream.shutdown().await
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    source: IpAddr,
    policy: &Policy,
    finish: impl AsyncFnOnce(Operation, &Auth, &Message) -> Result<[u8; LEN], Refused>,
) -> io::Result<Result<(), Refused>> {
    let Ok(first) = read(stream).await? else {
        return Ok(Err(Refused::MALFORMED));
    };
    if let Err(refused) = protocol::check_first(policy, &first, source) {
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
    match finish(first.operation, &token, &response).await {
        Ok(come_in) => stream.write_all(&come_in).await.map(Ok),
        Err(refused) => Ok(Err(refused)),
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Result<Message, Malformed>> {
    let mut bytes = [0; LEN];
    stream.read_exact(&mut bytes).await?;
    Ok(Message::parse(&bytes))
}
