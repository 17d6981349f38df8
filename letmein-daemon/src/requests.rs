//! What the two processes of `letmeind` say to each other, byte by byte.
//!
//! The gatekeeper may have been taken over by whoever has found a bug in it. So the warden reads nothing of it but
//! messages of a fixed length, every byte of which means something or has to be zero. All numbers are little-endian.

mod fields;
#[cfg(test)]
mod tests;

use fields::{Fields, head, parse_head};
use letmein_common::{
    ResourceId, UserId,
    hmac::Auth,
    maps::{Pending, PendingKey},
    reason::{Counters, Reason},
    sample::{PER_ROUND, Refused},
};
use std::{net::IpAddr, time::Duration};

/// The length of a request.
pub const REQUEST: usize = 88;
/// The length of a message that confirms a configuration.
const CONFIGURED: usize = 16;
/// The length of a message with counters.
const COUNTERS: usize = 24 + 8 * Reason::ALL.len();
/// The longest message of the gatekeeper.
pub const LONGEST: usize = SAMPLES;
/// The length of a message with refused packets: how many there are, and places for as many as there may be.
const SAMPLES: usize = CONFIGURED + 8 + Refused::LEN * PER_ROUND as usize;
/// The length of every message of the warden.
pub const TO_GATEKEEPER: usize = 24;

// What a message is, in its first four bytes.
const OPEN: u32 = 1;
const CLOSE: u32 = 2;
const EXPECT: u32 = 3;
const IS_CONFIGURED: u32 = 4;
const HAS_COUNTED: u32 = 5;
const OUTCOME: u32 = 6;
const POLICY: u32 = 7;
const UDP: u32 = 8;
const TCP: u32 = 9;
const RING: u32 = 10;
const APPLY: u32 = 11;
const COUNT: u32 = 12;
const CLOCK: u32 = 13;
const SAMPLE: u32 = 14;
const HAS_SAMPLED: u32 = 15;
const PREPARE: u32 = 20;
const DISCARD: u32 = 21;

/// What the gatekeeper asks the warden to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a resource, for this address and this long.
    Open {
        /// Who knocked.
        user: UserId,
        /// On what.
        resource: ResourceId,
        /// For whom.
        address: IpAddr,
        /// For how long.
        lease: Duration,
    },
    /// Close it.
    Close {
        /// Who knocked.
        user: UserId,
        /// On what.
        resource: ResourceId,
        /// For whom.
        address: IpAddr,
    },
    /// Let the XDP program pass the RESPONSE to a challenge.
    Expect(PendingKey, Challenge),
}

impl Action {
    /// Whose knock it is for.
    #[must_use]
    pub const fn user(&self) -> UserId {
        match self {
            Self::Open { user, .. } | Self::Close { user, .. } => *user,
            Self::Expect(exchange, _) => exchange.user,
        }
    }
}

/// A [`Pending`] challenge, which shows its token to nobody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// The AUTH field of the CHALLENGE.
    pub token: Auth,
    /// When it lapses, in nanoseconds of `CLOCK_MONOTONIC`.
    pub expires: u64,
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Challenge")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl From<Pending> for Challenge {
    fn from(pending: Pending) -> Self {
        Self {
            token: pending.token,
            expires: pending.expires,
        }
    }
}

impl From<Challenge> for Pending {
    fn from(challenge: Challenge) -> Self {
        Self {
            token: challenge.token,
            expires: challenge.expires,
        }
    }
}

/// An action, and the number that its outcome is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the gatekeeper.
    pub number: u64,
    /// What to do.
    pub action: Action,
}

/// A message of the gatekeeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromGatekeeper {
    /// It wants something done.
    Request(Request),
    /// It has done what it was told about its configuration under this number.
    Configured(u64),
    /// What it was asked for under this number.
    Counters(u64, Counters),
    /// Some of the packets that it has refused, which it was asked for under this number.
    Refused(u64, Vec<Refused>),
}

/// A message of the warden. Those with a descriptor carry it beside their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToGatekeeper {
    /// How the request with this number ended.
    Outcome(u64, Outcome),
    /// A memory file with this many bytes of a [policy](crate::gatekeeper::policy), for the next `Apply`.
    Policy(u64),
    /// A socket for knocks over UDP, for the next `Apply`.
    Udp,
    /// A socket for knocks over TCP, for the next `Apply`.
    Tcp,
    /// The ring buffer with silent knocks, and the size of its data, for the next `Apply`.
    Ring(u64),
    /// Say under this number that what has come since the last `Apply` is complete and understood.
    Prepare(u64),
    /// Forget what has come since the last `Apply`; then confirm this number.
    Discard(u64),
    /// Work by what has come since the last one, and by nothing else; then confirm this number.
    Apply(u64),
    /// Tell the counters, under this number.
    Count(u64),
    /// This many nanoseconds added to `CLOCK_MONOTONIC` are the time since 1970.
    Clock(i64),
    /// Tell of some refused packets, under this number.
    Sample(u64),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is not; the warden's log says why.
    Refused,
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage;

impl Request {
    /// The request as it is sent.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; REQUEST] {
        let mut fields = Fields::default();
        match &self.action {
            Action::Open {
                user,
                resource,
                address,
                lease,
            } => {
                fields.name(OPEN, *user, *resource, (*address).into());
                fields.time = u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX);
            }
            Action::Close {
                user,
                resource,
                address,
            } => fields.name(CLOSE, *user, *resource, (*address).into()),
            Action::Expect(exchange, challenge) => {
                fields.name(EXPECT, exchange.user, exchange.resource, exchange.address);
                fields.time = challenge.expires;
                fields.port = exchange.port;
                fields.token = challenge.token;
            }
        }
        fields.number = self.number;
        fields.to_bytes()
    }

    fn parse(bytes: &[u8; REQUEST]) -> Result<Self, Garbage> {
        let fields = Fields::parse(bytes).ok_or(Garbage)?;
        let address = IpAddr::from(fields.address);
        let (user, resource) = (fields.user, fields.resource);
        let is_plain = fields.port == 0 && fields.token == [0; 32];
        let action = match fields.kind {
            OPEN if is_plain => Action::Open {
                user,
                resource,
                address,
                lease: Duration::from_nanos(fields.time),
            },
            CLOSE if is_plain && fields.time == 0 => Action::Close {
                user,
                resource,
                address,
            },
            EXPECT => Action::Expect(
                PendingKey::new(
                    &fields.address,
                    u16::try_from(fields.port).map_err(|_| Garbage)?,
                    user,
                    resource,
                ),
                Challenge {
                    token: fields.token,
                    expires: fields.time,
                },
            ),
            _ => return Err(Garbage),
        };
        Ok(Self {
            number: fields.number,
            action,
        })
    }
}

impl FromGatekeeper {
    /// The message as it is sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.to_bytes().to_vec(),
            Self::Configured(number) => head(IS_CONFIGURED, *number).to_vec(),
            Self::Counters(number, counters) => {
                let words = [counters.genuine].into_iter().chain(counters.refused);
                let words = words.flat_map(u64::to_le_bytes);
                head(HAS_COUNTED, *number).into_iter().chain(words).collect()
            }
            Self::Refused(number, refused) => {
                let refused = refused.get(..PER_ROUND as usize).unwrap_or(refused);
                let mut bytes = head(HAS_SAMPLED, *number).to_vec();
                bytes.extend((refused.len() as u64).to_le_bytes());
                bytes.extend(refused.iter().flat_map(Refused::to_bytes));
                bytes.resize(SAMPLES, 0);
                bytes
            }
        }
    }

    /// Reads what the gatekeeper has sent.
    pub fn parse(bytes: &[u8]) -> Result<Self, Garbage> {
        if let Ok(request) = bytes.try_into() {
            return Request::parse(request).map(Self::Request);
        }
        let (head, rest) = bytes.split_first_chunk::<CONFIGURED>().ok_or(Garbage)?;
        let (kind, number) = parse_head(head)?;
        match kind {
            IS_CONFIGURED if rest.is_empty() => Ok(Self::Configured(number)),
            HAS_COUNTED if bytes.len() == COUNTERS => {
                let (words, _) = rest.as_chunks::<8>();
                let (genuine, refused) = words.split_first().ok_or(Garbage)?;
                let mut counters = Counters {
                    genuine: u64::from_le_bytes(*genuine),
                    ..Counters::default()
                };
                for (counter, word) in counters.refused.iter_mut().zip(refused) {
                    *counter = u64::from_le_bytes(*word);
                }
                Ok(Self::Counters(number, counters))
            }
            HAS_SAMPLED if bytes.len() == SAMPLES => {
                let (count, places) = rest.split_first_chunk().ok_or(Garbage)?;
                let count = usize::try_from(u64::from_le_bytes(*count)).map_err(|_| Garbage)?;
                let used = count.checked_mul(Refused::LEN).ok_or(Garbage)?;
                let (used, unused) = places.split_at_checked(used).ok_or(Garbage)?;
                if unused.iter().any(|byte| *byte != 0) {
                    return Err(Garbage);
                }
                let records = used.chunks(Refused::LEN);
                let refused = records.map(|record| {
                    let refused = Refused::from_bytes(record)?;
                    refused.reason().map(|_| refused)
                });
                let refused: Option<_> = refused.collect();
                Ok(Self::Refused(number, refused.ok_or(Garbage)?))
            }
            _ => Err(Garbage),
        }
    }
}

// A request is told from the other messages by its length.
const _: () = assert!(CONFIGURED != REQUEST && COUNTERS != REQUEST && SAMPLES != REQUEST);
const _: () = assert!(LONGEST >= REQUEST && LONGEST >= COUNTERS);

impl ToGatekeeper {
    /// The message as it is sent.
    #[must_use]
    pub fn to_bytes(self) -> [u8; TO_GATEKEEPER] {
        let (kind, number, value) = match self {
            Self::Outcome(number, outcome) => (OUTCOME, number, u64::from(outcome == Outcome::Done)),
            Self::Policy(length) => (POLICY, 0, length),
            Self::Udp => (UDP, 0, 0),
            Self::Tcp => (TCP, 0, 0),
            Self::Ring(size) => (RING, 0, size),
            Self::Prepare(number) => (PREPARE, number, 0),
            Self::Discard(number) => (DISCARD, number, 0),
            Self::Apply(number) => (APPLY, number, 0),
            Self::Count(number) => (COUNT, number, 0),
            Self::Clock(offset) => (CLOCK, 0, offset.cast_unsigned()),
            Self::Sample(number) => (SAMPLE, number, 0),
        };
        let mut bytes = [0; TO_GATEKEEPER];
        bytes[..CONFIGURED].copy_from_slice(&head(kind, number));
        bytes[CONFIGURED..].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    /// Reads what the warden has sent.
    pub fn parse(bytes: &[u8]) -> Result<Self, Garbage> {
        let bytes: &[u8; TO_GATEKEEPER] = bytes.try_into().map_err(|_| Garbage)?;
        let (head, value) = bytes.split_first_chunk::<CONFIGURED>().ok_or(Garbage)?;
        let value = u64::from_le_bytes(value.try_into().map_err(|_| Garbage)?);
        Ok(match (parse_head(head)?, value) {
            ((OUTCOME, number), 0) => Self::Outcome(number, Outcome::Refused),
            ((OUTCOME, number), 1) => Self::Outcome(number, Outcome::Done),
            ((POLICY, 0), length) => Self::Policy(length),
            ((UDP, 0), 0) => Self::Udp,
            ((TCP, 0), 0) => Self::Tcp,
            ((RING, 0), size) => Self::Ring(size),
            ((PREPARE, number), 0) => Self::Prepare(number),
            ((DISCARD, number), 0) => Self::Discard(number),
            ((APPLY, number), 0) => Self::Apply(number),
            ((COUNT, number), 0) => Self::Count(number),
            ((CLOCK, 0), offset) => Self::Clock(offset.cast_signed()),
            ((SAMPLE, number), 0) => Self::Sample(number),
            _ => return Err(Garbage),
        })
    }
}
