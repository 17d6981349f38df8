//! The daemon's end of the socket. Requests, connections and time are bounded: who may use the socket may not, by that,
//! keep others from it, nor knocks from being served.

use super::{
    Desk,
    desk::refusal,
    leases, open,
    peer::Peer,
    protocol::{Answer, LONGEST_REQUEST, Request},
    reload, revoke,
    socket::Listener,
    status, top,
};
use nix::unistd::{Gid, Uid};
use std::{collections::VecDeque, io, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::{AbortHandle, spawn_local},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

/// How long the other end may take for a request, and for reading a line of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at one time, and of one user of this machine. When more come, the oldest is closed.
const CONNECTIONS: usize = 32;
const OF_ONE_USER: usize = 8;
/// How long to wait when there are no descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Serves operators for good.
pub async fn serve(listener: Listener, desk: Rc<Desk>) {
    let group = listener.group;
    let listener = match UnixListener::from_std(listener.socket) {
        Ok(listener) => listener,
        Err(error) => {
            warn!("operators cannot be served: {error}");
            return;
        }
    };
    let mut places = Places::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match Peer::of(&stream) {
                Ok(peer) => {
                    let user = peer.user;
                    places.make_room(user);
                    let task = spawn_local(attend(stream, peer, group, Rc::clone(&desk)));
                    places.taken.push_back((user, task.abort_handle()));
                }
                Err(error) => debug!("an operator is nobody: {error}"),
            },
            Err(error) => {
                warn!("cannot accept an operator's connection: {error}");
                sleep(EXHAUSTED).await;
            }
        }
    }
}

/// Who is being served, oldest first.
#[derive(Default)]
struct Places {
    taken: VecDeque<(Uid, AbortHandle)>,
}

impl Places {
    /// Ends the oldest connection of this user, or of anybody, if there are too many.
    fn make_room(&mut self, user: Uid) {
        self.taken.retain(|(_, task)| !task.is_finished());
        let own = self.taken.iter().filter(|(other, _)| *other == user).count();
        let oldest = if own >= OF_ONE_USER {
            self.taken.iter().position(|(other, _)| *other == user)
        } else {
            (self.taken.len() >= CONNECTIONS).then_some(0)
        };
        if let Some((_, task)) = oldest.and_then(|oldest| self.taken.remove(oldest)) {
            task.abort();
        }
    }
}

async fn attend(stream: UnixStream, peer: Peer, group: Option<Gid>, desk: Rc<Desk>) {
    let (read, write) = stream.into_split();
    let mut out = Out(write);
    let served = if peer.may_operate(group) {
        converse(BufReader::new(read), &mut out, &peer, &desk).await
    } else {
        let error = "only root and the group in operator.group may".to_owned();
        out.send(&Answer::Refused { error }).await
    };
    if let Err(error) = served {
        debug!("an operator (uid {}): {error}", peer.user);
    }
}

async fn converse(
    mut requests: BufReader<OwnedReadHalf>,
    out: &mut Out,
    peer: &Peer,
    desk: &Rc<Desk>,
) -> io::Result<()> {
    let most = u64::try_from(LONGEST_REQUEST).unwrap_or(u64::MAX);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut requests).take(most);
        timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await??;
        if line.is_empty() {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            let error = format!("a request is a line of at most {LONGEST_REQUEST} bytes");
            return out.send(&Answer::Refused { error }).await;
        }
        let request = match serde_json::from_slice(&line) {
            Ok(request) => request,
            Err(error) => {
                let error = format!("this is no request: {error}");
                return out.send(&Answer::Refused { error }).await;
            }
        };
        let operator = peer.user.as_raw();
        let answer = match request {
            Request::Status {} => status::answer(desk).await,
            Request::Top {} => top::answer(desk).await,
            Request::Leases {} => {
                leases::answer(desk, out).await?;
                continue;
            }
            Request::Revoke { whose } => revoke::answer(desk, operator, &whose).await,
            Request::Open {
                resource,
                address,
                seconds,
            } => open::answer(desk, operator, &resource, address, seconds),
            Request::Reload {} => reload::answer(desk, operator).await,
        };
        out.send(&answer.unwrap_or_else(|error| refusal(&error))).await?;
    }
}

/// Where answers go.
pub(super) struct Out(OwnedWriteHalf);

impl Out {
    pub async fn send(&mut self, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        timeout(PATIENCE, self.0.write_all(&line)).await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn nobody_takes_all_places() {
        let mut places = Places::default();
        let mut tasks = Vec::new();
        for _ in 0..=OF_ONE_USER {
            places.make_room(Uid::from_raw(1));
            let task = tokio::spawn(pending::<()>());
            places.taken.push_back((Uid::from_raw(1), task.abort_handle()));
            tasks.push(task);
        }
        assert!(tasks.remove(0).await.unwrap_err().is_cancelled());
        for user in 2..100 {
            places.make_room(Uid::from_raw(user));
            let task = tokio::spawn(pending::<()>());
            places.taken.push_back((Uid::from_raw(user), task.abort_handle()));
        }
        assert_eq!(places.taken.len(), CONNECTIONS);
        assert!(tasks.remove(0).await.unwrap_err().is_cancelled());
    }
}
