//! The hosts, a service behind the gate, and an attacker who can send any frame from the other host.

use letmein_common::wire::challenge::{LEN, Operation};
use letmein_tests::{
    bpffs::BpfFs,
    frames::{ETHERNET_LEN, IPV4, IPV6, Ipv4, Ipv6, Link, TCP, UDP, tcp, udp},
    gate::{Gate, KEY, configuration},
    knocker::{Draft, Udp},
    lab::{Lab, Outcome},
    tap::Tap,
    wait::wait_until,
};
use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The gate, for the client.
pub const GATE: &str = "10.77.1.1";
/// The control port, for the client.
pub const CONTROL: &str = "10.77.1.1:5800";
/// The control port, for the other host: what the attacker sends to.
pub const CONTROL_OF_OTHER: &str = "10.77.2.1:5800";
/// The same over IPv6.
pub const CONTROL_OF_OTHER_V6: &str = "[fd77:2::1]:5800";

pub struct Scene {
    pub lab: Lab,
    bpffs: BpfFs,
    _service: TcpListener,
}

impl Scene {
    /// The server sends whatever it has for addresses that nobody has to the other host, where it is seen. letmeind has
    /// run before, so it takes silent knocks at once.
    pub fn new() -> Self {
        let lab = Lab::new().unwrap();
        for gateway in ["10.77.2.2", "fd77:2::2"] {
            let words = ["route", "add", "default", "via", gateway];
            lab.server.run("ip", &words).unwrap();
        }
        let scene = Self {
            _service: lab.server.listen(22).unwrap(),
            bpffs: BpfFs::mount().unwrap(),
            lab,
        };
        scene.start("").stop().unwrap();
        scene
    }

    /// Starts letmeind, which takes both kinds of knock, with these lines in `[gate]`.
    pub fn start(&self, gate: &str) -> Gate {
        Gate::start_with(&self.lab.server, &self.configuration(gate)).unwrap()
    }

    pub fn configuration(&self, gate: &str) -> String {
        self.configuration_with(gate, "")
    }

    /// With these lines in `[firewall]`, too.
    pub fn configuration_with(&self, gate: &str, firewall: &str) -> String {
        let gate = format!("silent = true\n{}\n{gate}", self.bpffs.setting());
        configuration(&gate, firewall, "1h")
    }

    pub fn attacker(&self) -> Attacker {
        let tap = Tap::open(&self.lab.other, "to-server").unwrap();
        let server = Tap::open(&self.lab.server, "to-peer2").unwrap().address();
        let link = Link {
            source: tap.address(),
            destination: server,
        };
        Attacker { tap, link }
    }

    /// What the client finds at the protected port.
    pub fn port(&self) -> Outcome {
        let ssh = SocketAddr::new(GATE.parse().unwrap(), 22);
        self.lab.client.connect(ssh).unwrap()
    }

    /// The same for the client, of the address of this control port.
    pub fn port_at(&self, control: &str) -> Outcome {
        let control: SocketAddr = control.parse().unwrap();
        let ssh = SocketAddr::new(control.ip(), 22);
        self.lab.client.connect(ssh).unwrap()
    }

    /// What the other host finds there.
    pub fn port_of_other(&self) -> Outcome {
        self.lab.other.connect("10.77.2.1:22".parse().unwrap()).unwrap()
    }

    /// The client opens the port and closes it again.
    #[track_caller]
    pub fn a_guest_comes_and_goes(&self, gate: &Gate, how: &str) {
        for (verb, outcome) in [("knock", Outcome::Open), ("revoke", Outcome::Silent)] {
            let arguments = [verb, "gate", "ssh", how];
            let code = gate.letmein(&self.lab.client, GATE, &KEY, &arguments);
            assert_eq!(code.unwrap(), 0, "{verb} {how}");
            if how == "--silent" {
                // Nobody is told when it has taken effect.
                wait_until("a silent knock takes effect", || self.port() == outcome);
            }
            assert_eq!(self.port(), outcome, "{verb} {how}");
        }
    }
}

/// Sends frames from the other host, from whatever address it likes, and sees what comes back.
pub struct Attacker {
    pub tap: Tap,
    link: Link,
}

impl Attacker {
    /// A datagram. All of it is right, so that the server's kernel would take it.
    pub fn udp(&self, source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
        self.frame(source, destination, UDP, &udp(source, destination, payload))
    }

    /// A TCP segment with these flags.
    pub fn tcp(&self, source: SocketAddr, destination: SocketAddr, flags: u8) -> Vec<u8> {
        self.frame(source, destination, TCP, &tcp(source, destination, flags))
    }

    /// An Ethernet frame around this packet.
    pub fn wrap(&self, ethertype: u16, packet: &[u8]) -> Vec<u8> {
        self.link.frame(ethertype, packet)
    }

    fn frame(&self, source: SocketAddr, destination: SocketAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.wrap(IPV4, &Ipv4::new(source, destination).packet(protocol, payload))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.wrap(IPV6, &Ipv6::new(source, destination).packet(protocol, payload))
            }
            _ => panic!("{source} and {destination} are of different families"),
        }
    }

    /// The IP packets that have come back since this was last asked, but for what a host cannot be silent about: ARP and
    /// `ICMPv6`, by which the server asks who has an address.
    pub fn received(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        while let Some(frame) = self.tap.receive(Instant::now()).unwrap() {
            let ethertype = u16::from_be_bytes([frame[12], frame[13]]);
            let packet = &frame[ETHERNET_LEN..];
            let is_neighbour_discovery = ethertype == IPV6 && packet[6] != UDP && packet[6] != TCP;
            if [IPV4, IPV6].contains(&ethertype) && !is_neighbour_discovery {
                packets.push(packet.to_vec());
            }
        }
        packets
    }
}

/// How many packets were refused so far, for whatever reason.
pub fn refused(gate: &mut Gate) -> u64 {
    let counters = gate.counters().unwrap();
    counters.values().sum::<u64>() - counters["genuine"]
}

/// A challenge knock, message by message, none of them sent twice. It has to succeed.
#[track_caller]
pub fn exchange(scene: &Scene, control: &str, operation: Operation) -> [u8; LEN] {
    let socket = Udp::new(&scene.lab.client, control.parse().unwrap()).unwrap();
    let draft = Draft {
        operation,
        ..Draft::default()
    };
    let knock = draft.sign();
    socket.send(&knock).unwrap();
    let challenge = socket.answer().unwrap();
    socket.send(&draft.response(&challenge).sign()).unwrap();
    assert_eq!(socket.answer().unwrap().operation, Operation::ComeIn);
    knock
}

/// Sends the frames over and over, with what `among` adds to each repetition, while `work` is done.
pub fn flood_while<T>(
    attacker: &Attacker,
    frames: &[Vec<u8>],
    among: impl Fn() -> Vec<Vec<u8>> + Sync,
    work: impl FnOnce() -> T,
) -> T {
    /// Ends the flood also when the work fails.
    struct End<'a>(&'a AtomicBool);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let among = among();
                let mut parts = frames.chunks(frames.len() / (among.len() + 1));
                for genuine in among {
                    attacker.tap.send_all(parts.next().unwrap_or_default()).unwrap();
                    attacker.tap.send(&genuine).unwrap();
                }
                parts.for_each(|part| attacker.tap.send_all(part).unwrap());
            }
        });
        let _end = End(&ended);
        work()
    })
}

/// The same, until so many more have been refused.
pub fn send_until(
    gate: &mut Gate,
    refusals: u64,
    attacker: &Attacker,
    frames: &[Vec<u8>],
    among: impl Fn() -> Vec<Vec<u8>> + Sync,
) {
    let before = refused(gate);
    flood_while(attacker, frames, among, || {
        wait_until("all have been refused", || {
            thread::sleep(Duration::from_millis(100));
            refused(gate) - before >= refusals
        });
    });
}
