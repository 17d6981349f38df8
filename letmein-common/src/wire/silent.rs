//! The silent knock: one datagram that nobody answers. Nothing in it means anything to who lacks the key, and nothing
//! repeats but TAG, within one epoch.
//!
//! | offset | size | field |                                                                                        |
//! |--------|------|-------|----------------------------------------------------------------------------------------|
//! | 0      | 8    | TAG   | `SipHash-2-4(K_tag, le64(epoch) || be32(gate) || be32(user) || be32(resource))`, little-endian |
//! | 8      | 16   | NONCE | fresh random bytes                                                                     |
//! | 24     | 24   | BODY  | PLAIN xor the first 24 bytes of `H(K_enc, TAG || NONCE)`                               |
//! | 48     | 8    | CHECK | `SipHash-2-4(K_check, the 48 bytes before it)`, little-endian                          |
//! | 56     | 32   | MAC   | `H(K_mac, the 56 bytes before it)`                                                     |
//!
//! `H` is HMAC-SHA3-256. PLAIN is OPERATION (KNOCK or REVOKE, 4 bytes), the lease in seconds (4 bytes, 0 for the
//! resource's own) and an address (16 bytes, all zero for the packet's own source), big-endian.
//!
//! TAG finds user and resource in one look-up and is worth nothing after its epoch. Who has sniffed one still makes no
//! CHECK, which costs the gate one SipHash to see. Only the genuine come as far as MAC.

use super::challenge::{Malformed, Operation};
use crate::{
    hmac::{AUTH_LEN, Auth, KeyedStates},
    ids::{ResourceId, UserId},
    siphash::{KEY_LEN, SipKey},
    source::Address,
};
use zeroize::Zeroizing;

/// Length of a silent knock, in bytes.
pub const LEN: usize = 88;
/// Length of the NONCE field, in bytes.
pub const NONCE_LEN: usize = 16;
/// How long an epoch lasts, in seconds.
pub const EPOCH_SECONDS: u64 = 30;

/// Length of what CHECK covers, in bytes.
const CHECKED_LEN: usize = 48;
/// Length of what MAC covers, in bytes.
pub const AUTHENTICATED_LEN: usize = 56;
/// Length of PLAIN and BODY, in bytes.
const BODY_LEN: usize = 24;

/// A NONCE field.
pub type Nonce = [u8; NONCE_LEN];

/// The keys of one user's silent knocks, derived from the one that the user has.
#[derive(Clone)]
pub struct Keys {
    /// Of TAG.
    pub tag: SipKey,
    /// Of CHECK.
    pub check: SipKey,
    /// Of BODY.
    pub encryption: KeyedStates,
    /// Of MAC.
    pub mac: KeyedStates,
}

impl Keys {
    /// Derives them all.
    #[must_use]
    pub fn derive(key: &KeyedStates) -> Self {
        let short = |label| {
            let derived = Zeroizing::new(key.mac(label));
            derived
                .first_chunk::<KEY_LEN>()
                .map_or(SipKey::new(&[0; KEY_LEN]), SipKey::new)
        };
        let long = |label| KeyedStates::new(&Zeroizing::new(key.mac(label)));
        Self {
            tag: short(b"letmein-silent-v2 tag"),
            check: short(b"letmein-silent-v2 check"),
            encryption: long(b"letmein-silent-v2 enc"),
            mac: long(b"letmein-silent-v2 mac"),
        }
    }

    /// The TAG of a knock in `epoch` at the gate with this number.
    #[must_use]
    pub fn tag(&self, epoch: u64, gate: u32, user: UserId, resource: ResourceId) -> u64 {
        let mut data = [0; 20];
        data[..8].copy_from_slice(&epoch.to_le_bytes());
        data[8..12].copy_from_slice(&gate.to_be_bytes());
        data[12..16].copy_from_slice(&user.0.to_be_bytes());
        data[16..].copy_from_slice(&resource.0.to_be_bytes());
        self.tag.hash(&data)
    }

    /// A knock with this TAG. `nonce` must be fresh random bytes each time.
    #[must_use]
    pub fn seal(&self, tag: u64, nonce: Nonce, request: &Request) -> [u8; LEN] {
        let mut knock = [0; LEN];
        knock[..8].copy_from_slice(&tag.to_le_bytes());
        knock[8..24].copy_from_slice(&nonce);
        let pad = self.pad(&knock);
        for ((body, plain), pad) in knock[24..CHECKED_LEN].iter_mut().zip(request.to_bytes()).zip(pad) {
            *body = plain ^ pad;
        }
        let check = self.check.hash(&knock[..CHECKED_LEN]);
        knock[CHECKED_LEN..AUTHENTICATED_LEN].copy_from_slice(&check.to_le_bytes());
        let mac = self.mac.mac(&knock[..AUTHENTICATED_LEN]);
        knock[AUTHENTICATED_LEN..].copy_from_slice(&mac);
        knock
    }

    /// What the knock asks for. Its MAC must have been verified.
    pub fn open(&self, knock: &View<'_>) -> Result<Request, Malformed> {
        let mut plain = [0; BODY_LEN];
        plain.copy_from_slice(&knock.0[24..CHECKED_LEN]);
        for (byte, pad) in plain.iter_mut().zip(self.pad(knock.0)) {
            *byte ^= pad;
        }
        Request::parse(&plain)
    }

    fn pad(&self, knock: &[u8; LEN]) -> Auth {
        self.encryption.mac(&knock[..24])
    }
}

/// What a knock asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// KNOCK or REVOKE.
    pub operation: Operation,
    /// For how many seconds; 0 for as long as the resource says.
    pub lease_seconds: u32,
    /// Whose address; `None` for the packet's source.
    pub address: Option<Address>,
}

impl Request {
    fn to_bytes(self) -> [u8; BODY_LEN] {
        let mut plain = [0; BODY_LEN];
        plain[..4].copy_from_slice(&(self.operation as u32).to_be_bytes());
        plain[4..8].copy_from_slice(&self.lease_seconds.to_be_bytes());
        plain[8..].copy_from_slice(&self.address.map_or([0; 16], Address::bytes));
        plain
    }

    fn parse(plain: &[u8; BODY_LEN]) -> Result<Self, Malformed> {
        let [a, b, c, d, e, f, g, h, address @ ..] = *plain;
        let operation = Operation::from_wire(u32::from_be_bytes([a, b, c, d]));
        let Some(operation @ (Operation::Knock | Operation::Revoke)) = operation else {
            return Err(Malformed::Operation);
        };
        Ok(Self {
            operation,
            lease_seconds: u32::from_be_bytes([e, f, g, h]),
            address: (address != [0; 16]).then(|| Address::v6(address)),
        })
    }
}

/// A knock where it lies, each field read when asked for.
#[derive(Clone, Copy)]
pub struct View<'a>(&'a [u8; LEN]);

impl<'a> View<'a> {
    /// Looks at these bytes as a knock. Any 88 bytes may be one.
    #[inline(always)]
    #[must_use]
    pub const fn of(bytes: &'a [u8; LEN]) -> Self {
        Self(bytes)
    }

    /// All its bytes.
    #[inline(always)]
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8; LEN] {
        self.0
    }

    /// The TAG field.
    #[inline(always)]
    #[must_use]
    pub fn tag(&self) -> u64 {
        u64::from_le_bytes(*self.array(0))
    }

    /// The NONCE field.
    #[inline(always)]
    #[must_use]
    pub fn nonce(&self) -> &'a Nonce {
        self.array(8)
    }

    /// Whether CHECK is right. A function of its own also in BPF, whose caller has no stack to spare.
    #[inline(never)]
    #[must_use]
    pub fn checks(&self, key: &SipKey) -> bool {
        key.hash(self.array::<CHECKED_LEN>(0)) == u64::from_le_bytes(*self.array(CHECKED_LEN))
    }

    /// Whether MAC proves the key. Takes the same time whatever MAC is.
    #[inline(always)]
    #[must_use]
    pub fn proves(&self, key: &KeyedStates) -> bool {
        key.verify_lanes(self.array(0), self.array::<AUTH_LEN>(AUTHENTICATED_LEN))
    }

    /// `N` bytes from offset `at`, which the caller keeps inside the knock.
    #[inline(always)]
    fn array<const N: usize>(self, at: usize) -> &'a [u8; N] {
        match self.0[at..].first_chunk() {
            Some(bytes) => bytes,
            // Every offset above is a constant inside the knock; this arm is compiled away.
            None => &[0; N],
        }
    }
}

/// The epoch of a moment, in seconds since 1970.
#[must_use]
pub const fn epoch(unix_seconds: u64) -> u64 {
    unix_seconds / EPOCH_SECONDS
}
