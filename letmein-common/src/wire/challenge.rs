//! The challenge knock: four fixed-size messages, wire-compatible with letmein 12.x.
//!
//! ```text
//! client  KNOCK | REVOKE ->          server
//!         <- CHALLENGE
//!         RESPONSE ->                        the lease is opened | closed
//!         <- COMEIN
//! ```
//!
//! | offset | size | field     |                                            |
//! |--------|------|-----------|--------------------------------------------|
//! | 0      | 4    | MAGIC     | `0x3B1BB719`                               |
//! | 4      | 4    | OPERATION | see [`Operation`]                          |
//! | 8      | 4    | USER      | id of the key                              |
//! | 12     | 4    | RESOURCE  | id of what to open                         |
//! | 16     | 8    | SALT      | fresh random bytes in every message        |
//! | 24     | 32   | AUTH      | `HMAC-SHA3-256(K, bytes 4..24 || TOKEN)`   |
//!
//! Integers are big-endian. TOKEN is 32 zero bytes in a KNOCK or REVOKE, and the AUTH field of the server's
//! CHALLENGE in a RESPONSE.

use crate::{
    hmac::{AUTH_LEN, Auth, KeyedStates},
    ids::{ResourceId, UserId},
};

/// Length of every message, in bytes.
pub const LEN: usize = 56;
/// The first four bytes of every message, as a big-endian integer.
pub const MAGIC: u32 = 0x3B1B_B719;
/// Length of the SALT field, in bytes.
pub const SALT_LEN: usize = 8;
/// Length of OPERATION, USER, RESOURCE and SALT, in bytes.
const HEAD_LEN: usize = 20;
/// The TOKEN of a message that answers no challenge.
pub const NO_TOKEN: Auth = [0; AUTH_LEN];

/// The OPERATION field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Operation {
    /// Client: open the resource.
    Knock = 0,
    /// Server: prove freshness by answering this.
    Challenge = 1,
    /// Client: the answer to a challenge.
    Response = 2,
    /// Server: done.
    ComeIn = 3,
    /// Server: refused.
    GoAway = 4,
    /// Client: close the resource.
    Revoke = 5,
}

impl Operation {
    /// The operation with this number on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn from_wire(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Knock,
            1 => Self::Challenge,
            2 => Self::Response,
            3 => Self::ComeIn,
            4 => Self::GoAway,
            5 => Self::Revoke,
            _ => return None,
        })
    }

    /// Whether a client may send it to a gate.
    #[inline(always)]
    #[must_use]
    pub const fn is_request(self) -> bool {
        matches!(self, Self::Knock | Self::Response | Self::Revoke)
    }
}

/// Why bytes are no challenge message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not [`LEN`] bytes long.
    Length,
    /// Does not begin with [`MAGIC`].
    Magic,
    /// An operation number that does not exist.
    Operation,
}

/// One message, parsed but not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it asks or answers.
    pub operation: Operation,
    /// Whose key it claims to be made with.
    pub user: UserId,
    /// What it is about.
    pub resource: ResourceId,
    /// Fresh random bytes.
    pub salt: [u8; SALT_LEN],
    /// The proof (client), the challenge (server), or nothing of meaning (COMEIN, GOAWAY).
    pub auth: Auth,
}

impl Message {
    /// A message with an AUTH that proves `key` and answers `token` ([`NO_TOKEN`] for KNOCK and REVOKE).
    #[must_use]
    pub fn authenticated(
        operation: Operation,
        user: UserId,
        resource: ResourceId,
        salt: [u8; SALT_LEN],
        key: &KeyedStates,
        token: &Auth,
    ) -> Self {
        let mut message = Self {
            operation,
            user,
            resource,
            salt,
            auth: NO_TOKEN,
        };
        message.auth = key.authenticate(&message.head(), token);
        message
    }

    /// Reads a message from exactly [`LEN`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let view = View::of(bytes)?;
        Ok(Self {
            operation: view.operation()?,
            user: view.user(),
            resource: view.resource(),
            salt: view.salt(),
            auth: *view.auth(),
        })
    }

    /// The message as it goes over the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..4].copy_from_slice(&MAGIC.to_be_bytes());
        bytes[4..24].copy_from_slice(&self.head());
        bytes[24..].copy_from_slice(&self.auth);
        bytes
    }

    /// The bytes that AUTH covers, TOKEN aside: OPERATION, USER, RESOURCE and SALT.
    fn head(&self) -> [u8; HEAD_LEN] {
        let mut head = [0; HEAD_LEN];
        head[..4].copy_from_slice(&(self.operation as u32).to_be_bytes());
        head[4..8].copy_from_slice(&self.user.0.to_be_bytes());
        head[8..12].copy_from_slice(&self.resource.0.to_be_bytes());
        head[12..].copy_from_slice(&self.salt);
        head
    }

    /// Whether AUTH proves `key` for this message and `token`. Takes the same time whatever AUTH is.
    #[must_use]
    pub fn proves(&self, key: &KeyedStates, token: &Auth) -> bool {
        key.verify(&self.head(), token, &self.auth)
    }
}

/// A message where it lies, each field read when asked for: what the XDP program works on.
#[derive(Clone, Copy)]
pub struct View<'a>(&'a [u8; LEN]);

impl<'a> View<'a> {
    /// Looks at `bytes` as a message, if length and magic say that they are one.
    #[inline(always)]
    pub fn of(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let Ok(bytes) = bytes.try_into() else {
            return Err(Malformed::Length);
        };
        let view = Self(bytes);
        if view.be32(0) == MAGIC {
            Ok(view)
        } else {
            Err(Malformed::Magic)
        }
    }

    /// All its bytes.
    #[inline(always)]
    #[must_use]
    pub fn bytes(&self) -> &'a [u8; LEN] {
        self.0
    }

    /// The OPERATION field.
    #[inline(always)]
    pub fn operation(&self) -> Result<Operation, Malformed> {
        Operation::from_wire(self.be32(4)).ok_or(Malformed::Operation)
    }

    /// The USER field.
    #[inline(always)]
    #[must_use]
    pub fn user(&self) -> UserId {
        UserId(self.be32(8))
    }

    /// The RESOURCE field.
    #[inline(always)]
    #[must_use]
    pub fn resource(&self) -> ResourceId {
        ResourceId(self.be32(12))
    }

    /// The SALT field.
    #[inline(always)]
    #[must_use]
    pub fn salt(&self) -> [u8; SALT_LEN] {
        *self.array(16)
    }

    /// The AUTH field.
    #[inline(always)]
    #[must_use]
    pub fn auth(&self) -> &'a Auth {
        self.array(24)
    }

    /// As [`Message::proves`].
    #[inline(always)]
    #[must_use]
    pub fn proves(&self, key: &KeyedStates, token: &Auth) -> bool {
        key.verify(self.array::<HEAD_LEN>(4), token, self.auth())
    }

    /// `N` bytes from offset `at`, which the caller keeps inside the message.
    #[inline(always)]
    fn array<const N: usize>(self, at: usize) -> &'a [u8; N] {
        match self.0[at..].first_chunk() {
            Some(bytes) => bytes,
            // Every offset above is a constant inside the message; this arm is compiled away.
            None => &[0; N],
        }
    }

    #[inline(always)]
    fn be32(self, at: usize) -> u32 {
        u32::from_be_bytes(*self.array(at))
    }
}
