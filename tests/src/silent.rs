//! Silent knocks by hand: right and wrong ones.

use crate::{gate::KEY, lab::Host};
use letmein_common::{
    ResourceId, UserId,
    hmac::KeyedStates,
    source::Address,
    wire::{
        challenge::Operation,
        silent::{EPOCH_SECONDS, Keys, LEN, NONCE_LEN, Request, epoch},
    },
};
use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicU64, Ordering},
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What a knock says, before it is sealed.
#[derive(Clone, Copy)]
pub struct Draft {
    /// KNOCK at first.
    pub operation: Operation,
    /// 00000001 at first, alice.
    pub user: u32,
    /// 00000001 at first, ssh.
    pub resource: u32,
    /// [`KEY`] at first.
    pub key: [u8; 32],
    /// 0 at first.
    pub gate: u32,
    /// How many epochs the clock of who knocks is ahead.
    pub ahead: i64,
    /// 0 at first: the resource's own.
    pub lease_seconds: u32,
    /// None at first: the packet's source.
    pub address: Option<IpAddr>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            operation: Operation::Knock,
            user: 1,
            resource: 1,
            key: KEY,
            gate: 0,
            ahead: 0,
            lease_seconds: 0,
            address: None,
        }
    }
}

impl Draft {
    /// The knock on the wire, now, with a nonce that no other one of this process has.
    #[must_use]
    pub fn seal(&self) -> [u8; LEN] {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut nonce = [0x4E; NONCE_LEN];
        nonce[..8].copy_from_slice(&NUMBER.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        let keys = Keys::derive(&KeyedStates::new(&self.key));
        let epoch = epoch(now().as_secs()).saturating_add_signed(self.ahead);
        let tag = keys.tag(epoch, self.gate, UserId(self.user), ResourceId(self.resource));
        let request = Request {
            operation: self.operation,
            lease_seconds: self.lease_seconds,
            address: self.address.map(Address::from),
        };
        keys.seal(tag, nonce, &request)
    }
}

/// Sends datagrams from `host`, and returns how many bytes came back within a moment after the last.
pub fn send(host: &Host, to: SocketAddr, datagrams: &[&[u8]]) -> anyhow::Result<usize> {
    host.enter(|| {
        let any: SocketAddr = if to.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0; 16], 0).into()
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(to)?;
        for datagram in datagrams {
            // An ICMP error about the one before would be an answer, and is told by `recv` below.
            let _earlier = socket.send(datagram);
        }
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let mut buffer = [0; 2048];
        anyhow::Ok(match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.into()),
        })
    })?
}

/// Waits until no epoch ends within this many seconds, so that what comes next is all in one.
pub fn settle(seconds: u64) {
    let left = left_of_epoch();
    if left < Duration::from_secs(seconds) {
        next_epoch();
    }
}

/// Waits until the next epoch has begun, for the XDP program as well, whose coarse clock shows it up to 10 ms later.
pub fn next_epoch() {
    sleep(left_of_epoch() + Duration::from_millis(100));
}

fn left_of_epoch() -> Duration {
    let now = now();
    let end = Duration::from_secs((epoch(now.as_secs()) + 1) * EPOCH_SECONDS);
    end.saturating_sub(now)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
