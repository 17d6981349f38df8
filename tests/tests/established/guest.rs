//! A guest whose TCP is made by hand: it says what no kernel would say, and nothing besides.

use letmein_tests::{
    frames::{Link, Segment},
    lab::Lab,
    tap::Tap,
};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    thread::sleep,
    time::{Duration, Instant},
};

/// When what has to come must be there, even on a busy machine.
const SOON: Duration = Duration::from_secs(30);
/// Frames that are sent without a pause.
const AT_ONCE: usize = 128;
/// When nothing more comes that was on its way. A veth takes microseconds.
const SILENCE: Duration = Duration::from_millis(100);

/// Next to the client, by the client's interface, at addresses that the client's kernel knows nothing of.
pub struct Guest {
    tap: Tap,
    link: Link,
}

impl Guest {
    /// At these addresses.
    pub fn new(lab: &Lab, addresses: &[IpAddr]) -> Self {
        let tap = Tap::open(&lab.client, "to-server").unwrap();
        let server = Tap::open(&lab.server, "to-peer1").unwrap();
        let link = Link {
            source: tap.address(),
            destination: server.address(),
        };
        let octets = link.source.map(|octet| format!("{octet:02x}")).join(":");
        for address in addresses {
            let address = address.to_string();
            let neighbour = ["neigh", "replace", &address, "lladdr", &octets];
            let arguments = [&neighbour[..], &["dev", "to-peer1", "nud", "permanent"]].concat();
            lab.server.run("ip", &arguments).unwrap();
        }
        Self { tap, link }
    }

    pub fn send(&self, segments: &[Segment]) {
        let frames: Vec<_> = segments.iter().map(|segment| segment.frame(&self.link)).collect();
        for frames in frames.chunks(AT_ONCE) {
            self.tap.send_all(frames).unwrap();
            // A kernel that is busy elsewhere queues a thousand, and drops the rest.
            sleep(Duration::from_millis(1));
        }
    }

    /// Waits for a segment like this to each of these ports, and returns the first for each.
    #[track_caller]
    pub fn await_at(
        &mut self,
        ports: &HashSet<u16>,
        is_wanted: impl Fn(&Segment) -> bool,
    ) -> HashMap<u16, Segment> {
        let deadline = Instant::now() + SOON;
        let mut found = HashMap::new();
        while found.len() < ports.len() {
            let frame = self.tap.receive(deadline).unwrap();
            assert!(frame.is_some(), "{} of {} came", found.len(), ports.len());
            let segment = frame.and_then(|frame| Segment::read(&frame));
            if let Some(segment) = segment.filter(&is_wanted)
                && ports.contains(&segment.destination.port())
            {
                found.entry(segment.destination.port()).or_insert(segment);
            }
        }
        found
    }

    /// The same, but returns all segments that come until then and shortly afterwards.
    #[track_caller]
    pub fn watch(&mut self, ports: &HashSet<u16>, is_wanted: impl Fn(&Segment) -> bool) -> Vec<Segment> {
        let deadline = Instant::now() + SOON;
        let mut seen = Vec::new();
        let mut missing = ports.clone();
        while !missing.is_empty() {
            let frame = self.tap.receive(deadline).unwrap();
            assert!(frame.is_some(), "nothing came at {missing:?}");
            let segment = frame.and_then(|frame| Segment::read(&frame));
            if let Some(segment) = segment.filter(&is_wanted) {
                missing.remove(&segment.destination.port());
            }
            seen.extend(segment);
        }
        let left = std::iter::from_fn(|| self.tap.receive(Instant::now() + SILENCE).unwrap());
        seen.extend(left.filter_map(|frame| Segment::read(&frame)));
        seen
    }
}
