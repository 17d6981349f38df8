//! Connections that are over for the server, at every point at which conntrack may have lost track of them.

use crate::guest::Guest;
use letmein_tests::frames::Segment;
use nix::{libc, setsockopt_impl, sys::socket::setsockopt, sys::socket::sockopt::SetBool};
use std::{
    collections::{HashMap, HashSet},
    io::Read as _,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;
/// Where a guest's first connection begins.
const FIRST: u32 = 1000;

/// What conntrack remembers of a connection. Those it names so itself are its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing.
    Unknown,
    SynReceived,
    /// The server has forgotten the connection without a word, as after a power failure.
    Established,
    /// The server has said that it is done, and forgotten the connection.
    FinWait,
    /// The server has said that it is done, the guest has heard it, and says nothing.
    CloseWait,
    /// Both have said that they are done, the guest first.
    LastAck,
    /// The same, and the guest has heard it.
    TimeWait,
    /// The guest has broken it off.
    Close,
}

pub const STAGES: [Stage; 8] = [
    Stage::Unknown,
    Stage::SynReceived,
    Stage::Established,
    Stage::FinWait,
    Stage::CloseWait,
    Stage::LastAck,
    Stage::TimeWait,
    Stage::Close,
];

/// One of the guest's connections.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub stage: Stage,
    pub here: SocketAddr,
    pub there: SocketAddr,
    /// The next byte that the server expects, as far as the guest knows.
    pub sequence: u32,
    /// The next byte of the server's.
    pub acknowledgment: u32,
}

impl Flow {
    pub const fn segment(&self, flags: u8) -> Segment {
        Segment {
            source: self.here,
            destination: self.there,
            sequence: self.sequence,
            acknowledgment: self.acknowledgment,
            flags,
        }
    }
}

/// `TCP_REPAIR` of tcp(7)'s kernel.
#[derive(Clone, Copy)]
struct Repair;
setsockopt_impl!(Repair, libc::IPPROTO_TCP, libc::TCP_REPAIR, bool, SetBool);

/// Closes a socket so that nothing is sent, as checkpointing does.
fn vanish(stream: TcpStream) {
    setsockopt(&stream, Repair, &true).unwrap();
    drop(stream);
}

/// Brings connections from these ports of the guest's to this stage.
pub fn bring(
    guest: &mut Guest,
    stage: Stage,
    from: &[SocketAddr],
    to: SocketAddr,
    service: &TcpListener,
) -> Vec<Flow> {
    let mut flows: Vec<_> = from
        .iter()
        .map(|here| Flow {
            stage,
            here: *here,
            there: to,
            sequence: FIRST,
            acknowledgment: 0,
        })
        .collect();
    if stage == Stage::Unknown {
        return flows;
    }
    let ports: HashSet<_> = from.iter().map(SocketAddr::port).collect();
    send(guest, &flows, SYN);
    let answers = guest.await_at(&ports, |segment| {
        segment.source == to && segment.flags & (SYN | ACK) == SYN | ACK
    });
    advance(&mut flows, 1, &answers);
    if stage == Stage::SynReceived {
        return flows;
    }
    send(guest, &flows, ACK);
    if matches!(stage, Stage::LastAck | Stage::TimeWait) {
        send(guest, &flows, FIN | ACK);
        advance(&mut flows, 1, &HashMap::new());
    }
    for _ in &flows {
        let (stream, peer) = service.accept().unwrap();
        assert!(ports.contains(&peer.port()), "{peer}");
        end(stage, stream);
    }
    if !matches!(stage, Stage::Established | Stage::Close) {
        let fins = guest.await_at(&ports, |segment| segment.source == to && segment.flags & FIN != 0);
        advance(&mut flows, 0, &fins);
    }
    match stage {
        Stage::CloseWait | Stage::TimeWait => send(guest, &flows, ACK),
        Stage::Close => send(guest, &flows, RST),
        _ => {}
    }
    flows
}

fn end(stage: Stage, mut stream: TcpStream) {
    match stage {
        Stage::Established | Stage::Close => vanish(stream),
        Stage::FinWait => {
            stream.shutdown(Shutdown::Write).unwrap();
            vanish(stream);
        }
        Stage::LastAck => {
            heard_all(&mut stream);
            stream.shutdown(Shutdown::Write).unwrap();
            vanish(stream);
        }
        Stage::TimeWait => heard_all(&mut stream),
        Stage::Unknown | Stage::SynReceived | Stage::CloseWait => {}
    }
}

/// The guest has said that it is done.
fn heard_all(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

fn send(guest: &Guest, flows: &[Flow], flags: u8) {
    let segments: Vec<_> = flows.iter().map(|flow| flow.segment(flags)).collect();
    guest.send(&segments);
}

/// The guest has sent this many bytes (or flags that count as one), and these have come, each with a flag that does.
fn advance(flows: &mut [Flow], sent: u32, came: &HashMap<u16, Segment>) {
    for flow in flows {
        flow.sequence += sent;
        if let Some(segment) = came.get(&flow.here.port()) {
            flow.acknowledgment = segment.sequence.wrapping_add(1);
        }
    }
}
