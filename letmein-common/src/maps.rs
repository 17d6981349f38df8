//! Keys and values of the BPF maps, shared by the XDP program and the daemon.
//!
//! All are `#[repr(C)]` without padding: the kernel compares keys byte by byte.

use crate::{
    account::{Account, NETWORKS},
    bucket::Limit,
    hmac::Auth,
    ids::{ResourceId, UserId},
    reason::{Counters, Reason},
    sample::Sampling,
    siphash::SipKey,
    source::{Address, Prefixes},
    wire::{
        challenge::SALT_LEN,
        silent::{self, Nonce},
    },
};

/// Key of the seen salts: a KNOCK or REVOKE of one user is accepted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct SaltKey {
    /// Its SALT, as it lies in the message.
    salt: u64,
    /// Whose message.
    user: UserId,
    /// Always 0; makes the size a multiple of the alignment.
    reserved: u32,
}

impl SaltKey {
    /// The salt of a message of `user`.
    #[inline(always)]
    #[must_use]
    pub const fn new(user: UserId, salt: [u8; SALT_LEN]) -> Self {
        Self {
            salt: u64::from_ne_bytes(salt),
            user,
            reserved: 0,
        }
    }
}

/// What a TAG of a silent knock stands for. Its key in the map is the TAG, as it lies in the knock.
#[derive(Clone)]
#[repr(C)]
pub struct Tag {
    /// Whose it is. First, so that the cheap check needs no second look-up.
    pub check: SipKey,
    /// From when it is taken, in nanoseconds of `CLOCK_MONOTONIC`.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// Who knocks.
    pub user: UserId,
    /// On what.
    pub resource: ResourceId,
}

impl Tag {
    /// The entry as the map holds it.
    #[must_use]
    pub fn words(&self) -> [u64; 5] {
        let [check0, check1] = self.check.words();
        let [a, b, c, d] = self.user.0.to_ne_bytes();
        let [e, f, g, h] = self.resource.0.to_ne_bytes();
        let ids = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        [check0, check1, self.from, self.until, ids]
    }

    /// Whether it is taken at this time.
    #[inline(always)]
    #[must_use]
    pub const fn is_taken(&self, now: u64) -> bool {
        self.from <= now && now < self.until
    }
}

/// Key of the accepted silent knocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct NonceKey {
    /// Its NONCE, as it lies in the knock.
    nonce: [u64; 2],
    /// Whose knock.
    user: UserId,
    /// Always 0; makes the size a multiple of the alignment.
    reserved: u32,
}

impl NonceKey {
    /// The nonce of a knock of `user`.
    #[inline(always)]
    #[must_use]
    pub const fn new(user: UserId, nonce: &Nonce) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = *nonce;
        Self {
            nonce: [
                u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
                u64::from_ne_bytes(rest),
            ],
            user,
            reserved: 0,
        }
    }
}

/// A genuine silent knock on its way to the daemon, through the ring buffer.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SilentKnock {
    /// Where it came from.
    pub source: Address,
    /// Who knocks.
    pub user: UserId,
    /// On what.
    pub resource: ResourceId,
    /// The knock.
    pub message: [u8; silent::LEN],
    /// Where it was sent to. Unspecified if a socket received it: the kernel delivers it nothing that is for others.
    pub destination: Address,
}

impl SilentKnock {
    /// Reads a record of the ring buffer.
    #[must_use]
    pub fn from_bytes(record: &[u8]) -> Option<Self> {
        let (source, rest) = record.split_first_chunk::<16>()?;
        let (user, rest) = rest.split_first_chunk()?;
        let (resource, rest) = rest.split_first_chunk()?;
        let (message, destination) = rest.split_first_chunk()?;
        Some(Self {
            source: Address::v6(*source),
            user: UserId(u32::from_ne_bytes(*user)),
            resource: ResourceId(u32::from_ne_bytes(*resource)),
            message: *message,
            destination: Address::v6(destination.try_into().ok()?),
        })
    }
}

/// Key of the permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PermitKey {
    /// Who.
    pub user: UserId,
    /// May open what.
    pub resource: ResourceId,
}

/// Key of the pending challenges: one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PendingKey {
    /// Where the KNOCK came from.
    pub address: Address,
    /// Its UDP source port; 32 bits wide so that there is no padding.
    pub port: u32,
    /// Who knocked.
    pub user: UserId,
    /// On what.
    pub resource: ResourceId,
    /// Always 0; makes the size a multiple of the alignment.
    pub reserved: u32,
}

/// A challenge that awaits its RESPONSE.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Pending {
    /// The AUTH field of the CHALLENGE.
    pub token: Auth,
    /// When it lapses, in nanoseconds of `CLOCK_MONOTONIC`.
    pub expires: u64,
}

/// A challenge that awaits its RESPONSE, as the gate keeps it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Awaited {
    /// What was sent, and until when it may be answered.
    pub pending: Pending,
    /// The token bucket of the RESPONSEs that came for it, right or wrong.
    pub tries: u64,
    /// The token bucket of those that were right.
    pub answers: u64,
}

impl From<Pending> for Awaited {
    fn from(pending: Pending) -> Self {
        Self {
            pending,
            tries: 0,
            answers: 0,
        }
    }
}

/// What each CPU notes down of refused packets: in one place, so that it is looked up once for each of them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Tally {
    /// How many there were.
    pub counters: Counters,
    /// How many were told of in this round.
    pub sampling: Sampling,
}

/// What the XDP program is configured with, as one read-only global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// The token bucket of every source.
    pub limit: Limit,
    /// How many HMACs each CPU computes for those who wait for nobody: see [`Spender`](crate::gate::Spender).
    pub budget: Limit,
    /// How many it computes for those whose token bucket is empty.
    pub drained: Limit,
    /// The token buckets of every user: see [`Purse`](crate::account::Purse).
    pub quota: Limit,
    /// The token buckets of every challenge: how many RESPONSEs are checked before others come first, and how many right
    /// ones are handed over.
    pub answers: Limit,
    /// How much of an address is one source.
    pub prefixes: Prefixes,
    /// The UDP control port.
    pub control_port: u32,
    /// 1 when the error policy answers strangers too, so that the daemon must see what was refused.
    pub answer_strangers: u32,
    /// 1 when challenge knocks are taken.
    pub challenge: u32,
    /// 1 when silent knocks are taken.
    pub silent: u32,
    /// 1 when there is a TCP port that the shield is about.
    pub shield_tcp: u32,
    /// 1 when there is a UDP port that the shield is about.
    pub shield_udp: u32,
}

#[cfg(feature = "user")]
mod pod {
    #![expect(
        unsafe_code,
        reason = "aya asks for this promise about every type that crosses into the kernel"
    )]

    use super::{Awaited, Pending, PendingKey, PermitKey, SaltKey, Settings, Tally};
    use crate::{account::Account, filter::UserFilter, ids::UserId, source::Address};
    use aya::Pod;

    // SAFETY: `repr(C)` or `repr(transparent)`, made of integers and arrays of integers only, and without
    // padding, which the assertions below hold them to.
    unsafe impl Pod for Address {}
    // SAFETY: as above.
    unsafe impl Pod for Account {}
    // SAFETY: as above.
    unsafe impl Pod for Awaited {}
    // SAFETY: as above.
    unsafe impl Pod for Pending {}
    // SAFETY: as above.
    unsafe impl Pod for PendingKey {}
    // SAFETY: as above.
    unsafe impl Pod for PermitKey {}
    // SAFETY: as above.
    unsafe impl Pod for SaltKey {}
    // SAFETY: as above.
    unsafe impl Pod for Settings {}
    // SAFETY: as above.
    unsafe impl Pod for Tally {}
    // SAFETY: as above.
    unsafe impl Pod for UserFilter {}
    // SAFETY: as above.
    unsafe impl Pod for UserId {}
}

// The sum of the fields: were there padding, the type would be larger.
const _: () = {
    assert!(size_of::<SaltKey>() == 8 + 4 + 4);
    assert!(size_of::<Tag>() == 16 + 2 * 8 + 2 * 4);
    assert!(size_of::<NonceKey>() == 16 + 4 + 4);
    assert!(size_of::<SilentKnock>() == 2 * 16 + 2 * 4 + silent::LEN);
    assert!(size_of::<PermitKey>() == 4 + 4);
    assert!(size_of::<PendingKey>() == 16 + 4 * 4);
    assert!(size_of::<Pending>() == 32 + 8);
    assert!(size_of::<Awaited>() == size_of::<Pending>() + 2 * 8);
    assert!(size_of::<Account>() == 16 * NETWORKS + 5 * 8);
    assert!(size_of::<Settings>() == 5 * 16 + 32 + 6 * 4);
    assert!(size_of::<Counters>() == 8 + 8 * Reason::ALL.len());
    assert!(size_of::<Tally>() == size_of::<Counters>() + 2 * 4);
};
