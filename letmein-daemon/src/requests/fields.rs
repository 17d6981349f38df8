//! The bytes that messages have in common: what each begins with, and the fields of requests.

use super::{CONFIGURED, Garbage, REQUEST};
use letmein_common::{ResourceId, UserId, hmac::Auth, source::Address};

pub fn head(kind: u32, number: u64) -> [u8; CONFIGURED] {
    let mut bytes = [0; CONFIGURED];
    bytes[..4].copy_from_slice(&kind.to_le_bytes());
    bytes[8..].copy_from_slice(&number.to_le_bytes());
    bytes
}

pub fn parse_head(bytes: &[u8; CONFIGURED]) -> Result<(u32, u64), Garbage> {
    let [a, b, c, d, 0, 0, 0, 0, number @ ..] = *bytes else {
        return Err(Garbage);
    };
    Ok((u32::from_le_bytes([a, b, c, d]), u64::from_le_bytes(number)))
}

/// The fields of a request, which all kinds share. What a kind does not need is zero.
#[derive(Clone, Copy)]
pub struct Fields {
    pub kind: u32,
    pub number: u64,
    pub address: Address,
    pub user: UserId,
    pub resource: ResourceId,
    pub time: u64,
    pub port: u32,
    pub token: Auth,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            kind: 0,
            number: 0,
            address: Address([0; 2]),
            user: UserId(0),
            resource: ResourceId(0),
            time: 0,
            port: 0,
            token: [0; 32],
        }
    }
}

impl Fields {
    pub const fn name(&mut self, kind: u32, user: UserId, resource: ResourceId, address: Address) {
        self.kind = kind;
        self.user = user;
        self.resource = resource;
        self.address = address;
    }

    pub fn to_bytes(self) -> [u8; REQUEST] {
        let mut bytes = [0; REQUEST];
        bytes[..16].copy_from_slice(&head(self.kind, self.number));
        bytes[16..32].copy_from_slice(&self.address.bytes());
        bytes[32..36].copy_from_slice(&self.user.0.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.resource.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.time.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.port.to_le_bytes());
        bytes[56..].copy_from_slice(&self.token);
        bytes
    }

    /// `None` if a reserved byte is not zero.
    pub fn parse(bytes: &[u8; REQUEST]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk()?;
        let (kind, number) = parse_head(head).ok()?;
        let (address, rest) = rest.split_first_chunk()?;
        let (user, rest) = rest.split_first_chunk()?;
        let (resource, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (port, rest) = rest.split_first_chunk()?;
        let (reserved, token) = rest.split_first_chunk::<4>()?;
        (*reserved == [0; 4]).then_some(())?;
        Some(Self {
            kind,
            number,
            address: Address::v6(*address),
            user: UserId(u32::from_le_bytes(*user)),
            resource: ResourceId(u32::from_le_bytes(*resource)),
            time: u64::from_le_bytes(*time),
            port: u32::from_le_bytes(*port),
            token: token.try_into().ok()?,
        })
    }
}
