//! Silent knocks at the socket. The XDP program takes them off the wire, so these came by an interface without it, and
//! nobody hears them: the record of accepted knocks, without which one could be used twice, is the XDP program's.

use std::{cell::Cell, net::SocketAddr, time::Duration};
use tokio::time::Instant;
use tracing::warn;

/// Anybody can send what looks like a silent knock: there is no more than one line in this time.
const QUIET: Duration = Duration::from_mins(1);

/// How many there were.
#[derive(Default)]
pub struct Unheard {
    since: Cell<u64>,
    told: Cell<Option<Instant>>,
}

impl Unheard {
    /// Counts one, and tells the log now and then.
    pub fn note(&self, peer: SocketAddr, interface: Option<u32>) {
        self.since.set(self.since.get().saturating_add(1));
        if self.told.get().is_some_and(|told| told.elapsed() < QUIET) {
            return;
        }
        self.told.set(Some(Instant::now()));
        let count = self.since.take();
        let address = peer.ip().to_canonical();
        let interface = interface.unwrap_or(0);
        warn!(
            event = "unheard",
            address = %address,
            interface,
            count,
            "{count} datagrams of a silent knock's length came by interfaces without the XDP program, the last from {address} \
             by interface number {interface} (`ip link`), and were not heard; add the interface to gate.interfaces, or \
             knock there with a challenge"
        );
    }
}
