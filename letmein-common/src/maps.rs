//! Keys and values of the BPF maps, shared by the XDP program and the daemon.
//!
//! All are `#[repr(C)]` without padding: the kernel compares keys byte by byte.

use crate::{
    bucket::Limit,
    hmac::Auth,
    ids::{ResourceId, UserId},
    reason::{Counters, Reason},
    source::{Address, Prefixes},
    wire::challenge::SALT_LEN,
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

/// What the XDP program is configured with, as one read-only global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// The token bucket of every source.
    pub limit: Limit,
    /// How much of an address is one source.
    pub prefixes: Prefixes,
    /// The UDP control port.
    pub control_port: u32,
    /// 1 when the error policy answers strangers too, so that the daemon must see what was refused.
    pub answer_strangers: u32,
}

#[cfg(feature = "user")]
mod pod {
    #![expect(
        unsafe_code,
        reason = "aya asks for this promise about every type that crosses into the kernel"
    )]

    use super::{Pending, PendingKey, PermitKey, SaltKey, Settings};
    use crate::{filter::UserFilter, ids::UserId, reason::Counters, source::Address};
    use aya::Pod;

    // SAFETY: `repr(C)` or `repr(transparent)`, made of integers and arrays of integers only, and without
    // padding, which the assertions below hold them to.
    unsafe impl Pod for Address {}
    // SAFETY: as above.
    unsafe impl Pod for Counters {}
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
    unsafe impl Pod for UserFilter {}
    // SAFETY: as above.
    unsafe impl Pod for UserId {}
}

// The sum of the fields: were there padding, the type would be larger.
const _: () = {
    assert!(size_of::<SaltKey>() == 8 + 4 + 4);
    assert!(size_of::<PermitKey>() == 4 + 4);
    assert!(size_of::<PendingKey>() == 16 + 4 * 4);
    assert!(size_of::<Pending>() == 32 + 8);
    assert!(size_of::<Settings>() == 16 + 32 + 4 + 4);
    assert!(size_of::<Counters>() == 8 + 8 * Reason::ALL.len());
};
