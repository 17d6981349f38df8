//! What the rules do to real packets, from a client in a network namespace of its own.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use letmein_daemon::firewall::{Closed, Firewall, FirewallPlan, Mode, PortRange, Protocol};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Socket, Type};

use super::{EXAMPLE, HOUR, chain, guard, in_namespace, key, nft, ssh};

const SERVER4: &str = "10.58.0.1";
const SERVER6: &str = "fd58::1";
/// The client's addresses: one that gets leases, one that gets none, and one of IPv6.
pub(super) const GUEST: &str = "10.58.0.2";
pub(super) const STRANGER: &str = "10.58.0.3";
pub(super) const GUEST6: &str = "fd58::2";
/// In the same prefix.
pub(super) const NEIGHBOUR6: &str = "fd58::3";
/// When an answer has to be there, even on a busy machine: a lost SYN is sent again after a second.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// How long nothing has to come back to be called silence. An answer over a veth takes microseconds.
pub(super) const SILENCE: Duration = Duration::from_millis(400);

/// A thread in a network namespace of its own, with a cable to the namespace that it was made in.
pub(super) struct Client {
    jobs: Option<mpsc::Sender<Box<dyn FnOnce() + Send>>>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    pub(super) fn new() -> Self {
        let (jobs, queue) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: run these tests as root");
            // "PROCESS/task/THREAD"
            tell.send(fs::read_link("/proc/thread-self").unwrap()).unwrap();
            for job in queue {
                job();
            }
        });
        let path = told.recv().unwrap();
        let thread_id = path.file_name().unwrap().to_str().unwrap();
        ip(&format!(
            "link add gate type veth peer name gate netns {thread_id}"
        ));
        ip("link set lo up");
        ip(&format!("address add {SERVER4}/24 dev gate"));
        ip(&format!("address add {SERVER6}/64 dev gate nodad"));
        ip("link set gate up");
        let client = Self {
            jobs: Some(jobs),
            thread: Some(thread),
        };
        client.run(|| {
            for address in [GUEST, STRANGER] {
                ip(&format!("address add {address}/24 dev gate"));
            }
            for address in [GUEST6, NEIGHBOUR6] {
                ip(&format!("address add {address}/64 dev gate nodad"));
            }
            ip("link set gate up");
            wait_for_the_link();
        });
        wait_for_the_link();
        client
    }

    /// Starts this in the client's namespace; what it returns comes through the channel.
    fn start<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
        let (done, result) = mpsc::channel();
        let job = Box::new(move || done.send(job()).unwrap());
        self.jobs.as_ref().unwrap().send(job).unwrap();
        result
    }

    pub(super) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.start(job).recv().expect("the client's job failed")
    }

    /// Opens a TCP connection from one of the client's addresses.
    pub(super) fn connect(
        &self,
        from: &'static str,
        port: u16,
        patience: Duration,
    ) -> Result<TcpStream, ErrorKind> {
        self.run(move || {
            let (from, to) = ends(from, port);
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
            socket.bind(&from.into()).unwrap();
            let outcome = socket.connect_timeout(&to.into(), patience);
            outcome.map_err(|error| error.kind())?;
            Ok(socket.into())
        })
    }

    /// Sends a datagram from one of the client's addresses, from a new port, and waits for its echo.
    pub(super) fn echoed(&self, from: &'static str, port: u16, patience: Duration) -> Result<(), ErrorKind> {
        self.run(move || echoed(from, port, patience))
    }

    pub(super) fn tcp_is_silent(&self, from: &'static str) {
        let outcome = self.connect(from, 22, SILENCE);
        assert_eq!(outcome.err(), Some(ErrorKind::TimedOut), "{from}");
    }

    pub(super) fn udp_is_silent(&self, from: &'static str) {
        let outcome = self.echoed(from, 51820, SILENCE);
        assert_eq!(outcome, Err(ErrorKind::WouldBlock), "{from}");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _reported_already = thread.join();
        }
    }
}

fn ends(from: &str, port: u16) -> (SocketAddr, SocketAddr) {
    let from: IpAddr = from.parse().unwrap();
    let to = if from.is_ipv4() { SERVER4 } else { SERVER6 };
    (
        SocketAddr::new(from, 0),
        SocketAddr::new(to.parse().unwrap(), port),
    )
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("ip: apt install iproute2");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

pub(super) fn listen(port: u16) -> TcpListener {
    TcpListener::bind(("::", port)).unwrap()
}

/// A new veth loses packets until the kernel has noticed that both of its ends are up.
fn wait_for_the_link() {
    let start = Instant::now();
    while !ip("-oneline link show gate").contains("state UP") {
        assert!(start.elapsed() < ANSWER, "the veth does not come up");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A socket that sends from `from`, from a new port.
fn udp(from: &str, port: u16) -> UdpSocket {
    let (from, to) = ends(from, port);
    let socket = UdpSocket::bind(from).unwrap();
    socket.connect(to).unwrap();
    socket
}

fn echoed(from: &str, port: u16, patience: Duration) -> Result<(), ErrorKind> {
    let socket = udp(from, port);
    socket.set_read_timeout(Some(patience)).unwrap();
    let outcome = socket.send(b"?").and_then(|_| socket.recv(&mut [0; 8]));
    outcome.map(|_| ()).map_err(|error| error.kind())
}

/// Sends every datagram back and remembers who sent one.
pub(super) fn echo(port: u16) -> mpsc::Receiver<IpAddr> {
    let socket = UdpSocket::bind(("::", port)).unwrap();
    let (seen, sources) = mpsc::channel();
    thread::spawn(move || {
        let mut datagram = [0; 8];
        while let Ok((length, from)) = socket.recv_from(&mut datagram) {
            if seen.send(from.ip().to_canonical()).is_err() {
                return;
            }
            // A client that has gone makes this fail, which is no matter.
            let _sent = socket.send_to(&datagram[..length], from);
        }
    });
    sources
}

/// The plans whose closed ports are silent. Chain mode closes them with the example ruleset.
fn silent() -> [FirewallPlan; 2] {
    [guard(Closed::Drop), chain()]
}

pub(super) fn load_users_rules(plan: &FirewallPlan) {
    if matches!(plan.mode, Mode::Chain { .. }) {
        nft(&["-f", EXAMPLE]);
    }
}

#[test]
fn only_who_holds_a_lease_gets_in_and_open_connections_outlive_it() {
    for plan in silent() {
        in_namespace(move || {
            let client = Client::new();
            let (listener, _echo) = (listen(22), echo(51820));
            for from in [GUEST, STRANGER, GUEST6] {
                let before = client.connect(from, 22, ANSWER);
                before.expect("the port is open before there are rules");
                listener.accept().unwrap();
            }
            load_users_rules(&plan);
            let mut firewall = Firewall::install(&plan).unwrap();
            for from in [GUEST, STRANGER, GUEST6] {
                client.tcp_is_silent(from);
                client.udp_is_silent(from);
            }

            let leases = [ssh(GUEST), key(GUEST6, Protocol::Udp, 51820)];
            firewall.open(&leases, HOUR).unwrap();
            let mut stream = client.connect(GUEST, 22, ANSWER).unwrap();
            let (mut served, _) = listener.accept().unwrap();
            assert_eq!(client.echoed(GUEST6, 51820, ANSWER), Ok(()));
            for from in [STRANGER, GUEST6] {
                client.tcp_is_silent(from);
            }
            for from in [STRANGER, GUEST] {
                client.udp_is_silent(from);
            }

            assert_eq!(firewall.close(&leases[..1]).unwrap(), 1);
            client.tcp_is_silent(GUEST);
            stream.write_all(b"?").unwrap();
            served.set_read_timeout(Some(ANSWER)).unwrap();
            let goes_on = served.read_exact(&mut [0]);
            goes_on.expect("a connection outlives its lease");
        });
    }
}

#[test]
fn the_guard_rejects_as_a_port_without_a_service_would_and_leaves_other_ports_alone() {
    in_namespace(|| {
        let client = Client::new();
        let _services = (listen(22), listen(80), echo(51820));
        Firewall::install(&guard(Closed::Reject)).unwrap();
        for from in [GUEST, GUEST6] {
            let tcp = client.connect(from, 22, ANSWER);
            assert_eq!(tcp.err(), Some(ErrorKind::ConnectionRefused), "{from}");
            let udp = client.echoed(from, 51820, ANSWER);
            assert_eq!(udp, Err(ErrorKind::ConnectionRefused), "{from}");
            let other = client.connect(from, 80, ANSWER);
            other.expect("port 80 is not protected");
        }
    });
}

#[test]
fn installing_again_neither_lets_anybody_in_nor_keeps_a_guest_out() {
    let mut ranged = guard(Closed::Drop);
    ranged.protected = vec![
        PortRange {
            protocol: Protocol::Udp,
            first: 51820,
            last: 51829,
        }
        .into(),
    ];
    for plan in silent().into_iter().chain([ranged]) {
        in_namespace(move || {
            let client = Client::new();
            let sources = echo(51820);
            load_users_rules(&plan);
            let lease = key(GUEST, Protocol::Udp, 51820);
            Firewall::install(&plan).unwrap().open(&[lease], HOUR).unwrap();

            let stop = Arc::new(AtomicBool::new(false));
            let stopped = Arc::clone(&stop);
            let rounds = client.start(move || {
                let stranger = udp(STRANGER, 51820);
                let mut rounds = 0;
                while !stopped.load(Ordering::Relaxed) {
                    for _ in 0..16 {
                        stranger.send(b"?").unwrap();
                    }
                    // From a new port each time: what counts is the lease, not an open connection.
                    echoed(GUEST, 51820, ANSWER).expect("the lease was gone for a moment");
                    rounds += 1;
                }
                rounds
            });
            for _ in 0..30 {
                Firewall::install(&plan).unwrap();
                load_users_rules(&plan);
            }
            stop.store(true, Ordering::Relaxed);
            assert!(
                rounds.recv().expect("the client's job failed") > 30,
                "too few packets to tell"
            );
            let guest: IpAddr = GUEST.parse().unwrap();
            assert!(
                sources.try_iter().all(|source| source == guest),
                "a stranger's packet got in"
            );
        });
    }
}
