//! Four machines on four wires, with the same addresses and sockets: two without the program, one of which tracks
//! connections and so puts fragments together earlier, and beside each of them one with the program.

use crate::packets::{live_program, stay};
use letmein_daemon::xdp::{KernelGate, Mode};
use letmein_tests::{lab::Host, tap::Tap};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, recvfrom, socket};
use std::{
    collections::BTreeSet,
    net::{IpAddr, UdpSocket},
    os::fd::{AsRawFd as _, OwnedFd},
    process::Command,
    time::{Duration, Instant},
};

/// Where all frames go.
pub const ADDRESS: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The last frame of each wire is for this port.
const MARKER: u16 = 7;
/// How long a frame may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a socket got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub source: IpAddr,
    pub port: u16,
    /// Of TCP.
    pub flags: Option<u8>,
}

pub struct Machines {
    wires: [Wire; 4],
    marker: Vec<u8>,
    _sender: Host,
    _programs: [KernelGate; 2],
}

struct Wire {
    tap: Tap,
    datagrams: Vec<(u16, UdpSocket)>,
    segments: [OwnedFd; 2],
    _machine: Host,
}

#[expect(
    clippy::expect_used,
    reason = "without root and these machines there is nothing to fuzz"
)]
impl Machines {
    pub fn new() -> Self {
        stay();
        let sender = Host::new("sender").expect("namespaces take root");
        let mut programs = [live_program(), live_program()];
        let [native, generic] = &mut programs;
        let wires = [
            Wire::new(&sender, "bare", false, None),
            Wire::new(&sender, "tracking", true, None),
            Wire::new(&sender, "native", true, Some((native, Mode::Native))),
            Wire::new(&sender, "generic", false, Some((generic, Mode::Generic))),
        ];
        Self {
            wires,
            marker: super::made::marker(MARKER),
            _sender: sender,
            _programs: programs,
        }
    }

    /// Sends the frames to all, and tells what came of them.
    pub fn send(&mut self, frames: &[Vec<u8>]) -> [BTreeSet<Seen>; 4] {
        let marker = &self.marker;
        self.wires.each_ref().map(|wire| {
            for frame in frames.iter().chain([marker]) {
                wire.tap.send(frame).expect("a wire takes frames");
            }
            wire.received()
        })
    }
}

#[expect(clippy::expect_used, reason = "as above")]
impl Wire {
    fn new(sender: &Host, name: &str, tracks: bool, program: Option<(&mut KernelGate, Mode)>) -> Self {
        let machine = Host::new(name).expect("namespaces take root");
        let near = format!("to-{name}");
        let ends = [
            "-n",
            sender.name(),
            "link",
            "add",
            &near,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            machine.name(),
        ];
        let joined = Command::new("ip")
            .args(ends)
            .status()
            .expect("iproute2 is installed");
        assert!(joined.success(), "a wire");
        let track = if tracks {
            "ct state new,established,invalid counter"
        } else {
            "counter"
        };
        let address = ADDRESS.map(|byte| format!("{byte:02x}")).join(":");
        let script = format!(
            "set -e; ip link set eth0 address {address}; ip address add 10.0.0.1/8 dev eth0
             ip address add fd00::1/64 dev eth0 nodad; ip link set eth0 up
             nft -f - <<'END'
table inet quiet {{
    chain heard {{ type filter hook input priority 0; {track}; }}
    chain said {{ type filter hook output priority -400; policy drop; }}
}}
END"
        );
        machine.run("sh", &["-c", &script]).expect("a machine");
        let quiet = format!("echo 1 >/proc/sys/net/ipv6/conf/{near}/disable_ipv6; ip link set {near} up");
        sender.run("sh", &["-c", &quiet]).expect("the other end");
        if let Some((gate, mode)) = program {
            let attached = machine.enter(|| gate.attach("eth0", mode)).expect("a thread");
            attached.expect("the program runs on this interface");
        }
        let sockets = machine.enter(|| {
            let ports = [super::CONTROL, super::SHIELDED[1], super::OPEN[1], MARKER];
            let datagrams = ports.map(|port| {
                let socket = UdpSocket::bind(("::", port)).expect("a free port");
                socket.set_nonblocking(true).expect("any socket can be");
                (port, socket)
            });
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let segments = [AddressFamily::Inet, AddressFamily::Inet6].map(|family| {
                socket(family, SockType::Raw, flags, SockProtocol::Tcp).expect("raw sockets take root")
            });
            (datagrams.into(), segments)
        });
        let (datagrams, segments) = sockets.expect("a thread");
        let tap = Tap::open(sender, &near).expect("a wire");
        Self {
            tap,
            datagrams,
            segments,
            _machine: machine,
        }
    }

    /// All until the marker has come, which is the last.
    fn received(&self) -> BTreeSet<Seen> {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_marked() {
            assert!(Instant::now() < deadline, "the marker got lost");
            std::thread::yield_now();
        }
        let mut all = BTreeSet::new();
        for (port, socket) in &self.datagrams {
            let mut buffer = [0; 2048];
            while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                all.insert(Seen {
                    source: from.ip().to_canonical(),
                    port: *port,
                    flags: None,
                });
            }
        }
        for (socket, is_v4) in self.segments.iter().zip([true, false]) {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = recvfrom::<SockaddrStorage>(socket.as_raw_fd(), &mut buffer) {
                all.extend(segment(&buffer[..length], from.as_ref(), is_v4));
            }
        }
        all
    }

    fn is_marked(&self) -> bool {
        let marked = self.datagrams.iter().find(|(port, _)| *port == MARKER);
        marked.is_some_and(|(_, socket)| socket.recv_from(&mut [0; 8]).is_ok())
    }
}

/// A TCP segment, behind its IPv4 header.
fn segment(bytes: &[u8], from: Option<&SockaddrStorage>, is_v4: bool) -> Option<Seen> {
    let header = if is_v4 {
        usize::from(bytes.first()? & 15) * 4
    } else {
        0
    };
    let source = match from? {
        from if is_v4 => IpAddr::from(from.as_sockaddr_in()?.ip()),
        from => from.as_sockaddr_in6()?.ip().into(),
    };
    let tcp = bytes.get(header..)?;
    // The kernel takes nothing for TCP that is shorter than its header.
    tcp.get(19)?;
    Some(Seen {
        source,
        port: u16::from_be_bytes([tcp[2], tcp[3]]),
        flags: Some(tcp[13]),
    })
}
