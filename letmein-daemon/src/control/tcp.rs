//! Knocks over TCP: the four messages on one connection.

use super::limits::Number;
use crate::{
    config::User,
    gatekeeper::{Gatekeeper, policy::Policy},
    logging::refusals,
    protocol::{self, Refused, Stage},
};
use letmein_common::{
    hmac::Auth,
    wire::challenge::{LEN, Malformed, Message, Operation},
};
use nix::errno::Errno;
use std::{io, net::IpAddr, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{coop::consume_budget, spawn_local},
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
                let number = gatekeeper.connections.borrow_mut().number();
                let place = Place {
                    gatekeeper: Rc::clone(&gatekeeper),
                    number,
                };
                let task = spawn_local(serve_one(stream, source, place)).abort_handle();
                gatekeeper.connections.borrow_mut().add(number, source, task);
            }
            Err(error) => {
                if let Some(untold) = refusals::count("a connection cannot be accepted", None) {
                    warn!("cannot accept a connection: {error}{untold}");
                }
                // Anything else is about one connection, and the next one may be as good as any.
                if is_exhausted(&error) {
                    sleep(EXHAUSTED).await;
                }
                consume_budget().await;
            }
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        None | Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::EINVAL)
    )
}

/// The place of a connection that is served. It is free again when this is dropped.
struct Place {
    gatekeeper: Rc<Gatekeeper>,
    number: Number,
}

impl Drop for Place {
    fn drop(&mut self) {
        // Nobody holds them for longer than a call.
        if let Ok(mut connections) = self.gatekeeper.connections.try_borrow_mut() {
            connections.remove(self.number);
        }
    }
}

/// One exchange. The whole of it has `control-timeout`, so that no trickle of bytes holds a place for longer.
async fn serve_one(mut stream: TcpStream, source: IpAddr, place: Place) {
    let gatekeeper = &place.gatekeeper;
    let policy = gatekeeper.policy();
    let begin = |user: &User, first: &Message| {
        protocol::begin(gatekeeper, user, first, source)?;
        gatekeeper.connections.borrow_mut().prove(place.number, user.id);
        Ok(())
    };
    let finish = async |begun_with, token: &Auth, response: &Message| {
        let policy = gatekeeper.policy();
        let action = protocol::decide(&policy, begun_with, token, response, source)?;
        let refused = Refused::at(Stage::FullAuth, response);
        let user = policy.user(response.user).ok_or(refused)?;
        let place = gatekeeper.enter(user, source).map_err(|_full| refused)?;
        let outcome = gatekeeper.warden.ask(place, action).await;
        outcome.map_err(|_refused| refused)?;
        Ok(protocol::come_in(response))
    };
    let exchange = serve_stream(&mut stream, source, &policy, begin, finish);
    match timeout(policy.gate.control_timeout, exchange).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("TCP knock from {source}: {error}"),
        Err(_late) => debug!("TCP knock from {source}: took longer than gate.control-timeout"),
    }
}

/// The exchange on any stream. `begin` says whether a first message that proves the key is taken; `finish` does what a
/// RESPONSE is for, if it proves the key for this token.
pub async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    source: IpAddr,
    policy: &Policy,
    begin: impl FnOnce(&User, &Message) -> Result<(), Refused>,
    finish: impl AsyncFnOnce(Operation, &Auth, &Message) -> Result<[u8; LEN], Refused>,
) -> io::Result<()> {
    if let Err(refused) = exchange(stream, source, policy, begin, finish).await?
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
    begin: impl FnOnce(&User, &Message) -> Result<(), Refused>,
    finish: impl AsyncFnOnce(Operation, &Auth, &Message) -> Result<[u8; LEN], Refused>,
) -> io::Result<Result<(), Refused>> {
    let Ok(first) = read(stream).await? else {
        return Ok(Err(Refused::MALFORMED));
    };
    let checked = protocol::check_first(policy, &first, source);
    if let Err(refused) = checked.and_then(|(user, _)| begin(user, &first)) {
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
