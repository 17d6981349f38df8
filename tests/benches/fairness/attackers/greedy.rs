//! A user with a key, who knocks and knocks.

use super::{Arrives, Attack, CONTROL, GATE, Tally, address, at_a_rate};
use crate::gates::{GREEDY, key};
use anyhow::Context as _;
use letmein_common::wire::challenge::Operation;
use letmein_tests::{
    knocker::{self, Tcp},
    silent,
};
use nix::{
    libc,
    sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::IoSlice,
    net::{SocketAddr, SocketAddrV4, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    sync::{
        Mutex,
        atomic::Ordering,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Duration,
};

/// Knocks over TCP at one time.
const WORKERS: usize = 24;
/// Sources of knocks over TCP, so that each stays within what one source may.
const TCP_SOURCES: u64 = 60;
/// Who waits longer for a connection or an answer gives that one up.
const PATIENCE: Duration = Duration::from_millis(500);

/// So many genuine silent knocks a second, from as many forged sources as are given, in turn.
pub fn silent_knocks(rate: u64, sources: u64) -> Attack {
    let draft = silent::Draft {
        user: GREEDY.into(),
        key: key(GREEDY),
        ..silent::Draft::default()
    };
    Attack {
        rate,
        arrives: Arrives::Packets,
        run: Box::new(move |tally| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            let gate = SockaddrIn::from(SocketAddrV4::new(GATE.into(), CONTROL));
            at_a_rate(rate, tally, |number| {
                let from = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr {
                        s_addr: u32::from(address(1 + number % sources)).to_be(),
                    },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                let knock = draft.seal();
                let parts = [IoSlice::new(&knock)];
                let from = [ControlMessage::Ipv4PacketInfo(&from)];
                sendmsg(socket.as_raw_fd(), &parts, &from, MsgFlags::empty(), Some(&gate))
                    .context("a silent knock")?;
                Ok(())
            })
        }),
    }
}

/// So many knocks over TCP a second, each on a connection of its own.
pub fn tcp_knocks(rate: u64) -> Attack {
    Attack {
        rate,
        arrives: Arrives::Connections,
        run: Box::new(move |tally| {
            let (due, next) = sync_channel(WORKERS);
            let next = Mutex::new(next);
            thread::scope(|scope| {
                for _ in 0..WORKERS {
                    scope.spawn(|| work(&next, tally));
                }
                // What no worker has time for is left out, and not counted as sent.
                let offered = at_a_rate(rate, tally, |number| {
                    if due.try_send(number).is_err() {
                        tally.progress.sent.fetch_sub(1, Ordering::Relaxed);
                    }
                    Ok(())
                });
                drop(due);
                offered
            })
        }),
    }
}

/// Knocks whenever it is time, until no more knocks are due.
fn work(next: &Mutex<Receiver<u64>>, tally: &Tally) {
    loop {
        let Some(number) = next.lock().ok().and_then(|next| next.recv().ok()) else {
            return;
        };
        // A gate that does not answer is what happens to others as well.
        let got_in = knock(number, tally).is_ok_and(|got_in| got_in);
        tally.got_in.fetch_add(got_in.into(), Ordering::Relaxed);
    }
}

fn knock(number: u64, tally: &Tally) -> anyhow::Result<bool> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((address(1 + number % TCP_SOURCES), 0)).into())?;
    socket.connect_timeout(&SocketAddr::from((GATE, CONTROL)).into(), PATIENCE)?;
    tally.connected.fetch_add(1, Ordering::Relaxed);
    let mut connection = Tcp::over(TcpStream::from(socket), PATIENCE)?;
    let draft = knocker::Draft {
        user: GREEDY.into(),
        key: key(GREEDY),
        ..knocker::Draft::default()
    };
    connection.send(&draft.sign())?;
    let challenge = connection.answer()?.context("no challenge")?;
    connection.send(&draft.response(&challenge).sign())?;
    let answer = connection.answer()?;
    Ok(answer.is_some_and(|answer| answer.operation == Operation::ComeIn))
}
