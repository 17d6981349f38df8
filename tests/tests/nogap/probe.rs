//! Who tries all along: a stranger who never knocked, and a guest who holds a lease.

use crate::scene::Scene;
use letmein_tests::{frames::ETHERNET_LEN, lab::Host, tap::Tap};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::VecDeque,
    io::Read as _,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread::{scope, sleep},
    time::{Duration, Instant},
};

/// How many more attempts of each have to be made in each state.
const ENOUGH: usize = 300;
const PATIENCE: Duration = Duration::from_secs(20);
/// Attempts of the stranger that wait for an answer at one time.
const WAITING: usize = 200;
const GUEST: &str = "10.77.1.1:22";
const STRANGER: &str = "10.77.2.1:22";

/// What was tried up to now.
#[derive(Default)]
pub struct Attempts {
    stranger: AtomicUsize,
    guest: AtomicUsize,
    ended: AtomicBool,
}

impl Attempts {
    /// Waits for some hundred attempts more of each.
    #[track_caller]
    pub fn go_on(&self) {
        let enough = [&self.stranger, &self.guest].map(|count| (count, count.load(Relaxed) + ENOUGH));
        let deadline = Instant::now() + PATIENCE;
        while enough.iter().any(|(count, enough)| count.load(Relaxed) < *enough) {
            assert!(
                Instant::now() < deadline && !self.ended.load(Relaxed),
                "nobody tries any more"
            );
            sleep(Duration::from_millis(1));
        }
    }
}

/// Ends the attempts also when the test has failed.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Does `work`, while a stranger and a guest try to reach port 22. The stranger gets nowhere, not even past the XDP
/// program. The guest gets in each time, at the first SYN.
#[track_caller]
pub fn nobody_notices(scene: &Scene, work: impl FnOnce(&Attempts)) {
    watched(scene, true, work);
}

/// The same, but it is nftables that keeps the stranger out meanwhile.
#[track_caller]
pub fn nobody_gets_in(scene: &Scene, work: impl FnOnce(&Attempts)) {
    watched(scene, false, work);
}

#[track_caller]
fn watched(scene: &Scene, shielded: bool, work: impl FnOnce(&Attempts)) {
    let attempts = Attempts::default();
    let mut tap = Tap::open(&scene.lab.server, "to-peer2").unwrap();
    let sent_again = retransmitted(&scene.lab.client);
    let visitors = scope(|scope| {
        let end = End(&attempts.ended);
        let host = scope.spawn(|| serve(&scene.service, &attempts.ended));
        scope.spawn(|| scene.lab.other.enter(|| knock_on_the_door(&attempts)).unwrap());
        scope.spawn(|| scene.lab.client.enter(|| come_and_go(&attempts)).unwrap());
        attempts.go_on();
        work(&attempts);
        attempts.go_on();
        drop(end);
        host.join().unwrap()
    });
    let strangers = visitors
        .iter()
        .filter(|visitor| visitor.ip().to_string().ends_with(".77.2.2"));
    assert_eq!(strangers.count(), 0, "a stranger got in");
    if shielded {
        assert_eq!(syns(&mut tap), 0, "SYNs of a stranger got past the XDP program");
    }
    assert_eq!(
        retransmitted(&scene.lab.client),
        sent_again,
        "a guest's SYN was dropped"
    );
}

/// The service: everybody who gets in is greeted.
fn serve(service: &TcpListener, ended: &AtomicBool) -> Vec<SocketAddr> {
    service.set_nonblocking(true).unwrap();
    let mut visitors = Vec::new();
    while !ended.load(Relaxed) {
        match service.accept() {
            // Who has gone already is no concern of ours.
            Ok((mut stream, from)) => {
                let _gone = std::io::Write::write_all(&mut stream, b".");
                visitors.push(from);
            }
            Err(_nobody) => sleep(Duration::from_micros(100)),
        }
    }
    visitors
}

/// A stranger: one SYN after the other, a thousand a second, without waiting for what becomes of each.
fn knock_on_the_door(attempts: &Attempts) {
    let address = STRANGER.parse::<SocketAddr>().unwrap().into();
    let mut waiting = VecDeque::new();
    while !attempts.ended.load(Relaxed) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _in_progress = socket.connect(&address);
        waiting.push_back(socket);
        attempts.stranger.fetch_add(1, Relaxed);
        if waiting.len() > WAITING {
            waiting.pop_front();
        }
        sleep(Duration::from_millis(1));
    }
}

/// A guest: gets in, is greeted, leaves, and comes again.
fn come_and_go(attempts: &Attempts) {
    // Whatever happens, the others must not wait for ever.
    let _end = End(&attempts.ended);
    let address = GUEST.parse().unwrap();
    while !attempts.ended.load(Relaxed) {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let greeted = stream.read(&mut [0]);
        assert!(
            attempts.ended.load(Relaxed) || greeted.unwrap() == 1,
            "a guest was not greeted"
        );
        attempts.guest.fetch_add(1, Relaxed);
        sleep(Duration::from_millis(1));
    }
}

/// How many TCP segments this host has sent again, a SYN without an answer among them.
fn retransmitted(host: &Host) -> u64 {
    let counters = host.run("cat", &["/proc/net/snmp"]).unwrap();
    let mut lines = counters.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split(' ').position(|name| name == "RetransSegs").unwrap();
    values.split(' ').nth(place).unwrap().parse().unwrap()
}

/// How many SYNs to port 22 were seen.
fn syns(tap: &mut Tap) -> usize {
    let mut count = 0;
    while let Some(frame) = tap.receive(Instant::now()).unwrap() {
        let flags = frame
            .get(ETHERNET_LEN..)
            .filter(|packet| packet[0] >> 4 == 4 && packet[9] == 6);
        count += usize::from(flags.is_some_and(|packet| packet[20..][13] & 0x12 == 0x02));
    }
    count
}
