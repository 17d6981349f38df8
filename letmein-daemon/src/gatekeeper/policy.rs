//! What the gatekeeper is told of the configuration: how knocks are taken, and who may knock on what.
//!
//! It goes from one process of ours to the other as bytes in memory that is wiped. All numbers are little-endian.

#[cfg(test)]
mod tests;

use crate::{
    config::{Config, ErrorPolicy, User, XdpMode},
    quota::Quota,
    silent::tags::Keyring,
};
use letmein_common::{
    ResourceId, UserId,
    bucket::Limit,
    hmac::KeyedStates,
    keccak::LANES,
    source::{Address, Prefixes},
    wire::silent,
};
use std::{collections::HashMap, time::Duration};
use thiserror::Error;
use zeroize::Zeroizing;

/// What the gatekeeper works by.
pub struct Policy {
    /// How knocks are taken.
    pub gate: Gate,
    users: HashMap<UserId, User>,
    resources: HashMap<ResourceId, Resource>,
}

/// The part of section `[gate]` that is about knocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Who gets an answer to a refused knock.
    pub error_policy: ErrorPolicy,
    /// Whether datagrams are checked here, because no XDP program does.
    pub in_userspace: bool,
    /// Whether challenge knocks are taken over UDP.
    pub udp: bool,
    /// Whether silent knocks are taken.
    pub silent: bool,
    /// The number that tells this gate from others that hold the same keys.
    pub number: u32,
    /// How long one exchange may take.
    pub control_timeout: Duration,
    /// TCP connections at one time.
    pub max_connections: u32,
    /// TCP connections at one time from one source network.
    pub max_connections_per_source: u32,
    /// How many pending challenges are remembered.
    pub pending_challenges: u32,
    /// How many salts are remembered, and as many nonces of silent knocks.
    pub seen_salts: u32,
    /// What a source network may send.
    pub limit: Limit,
    /// How many HMACs one CPU computes for strangers.
    pub budget: Limit,
    /// What a source network is.
    pub prefixes: Prefixes,
    /// How many requests to open and close the warden does each second.
    pub max_opens_per_second: u32,
}

/// What a knock opens.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// The section's name, for the log.
    pub name: String,
    /// For how long.
    pub lease: Duration,
}

/// Bytes that are no policy.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the policy is cut short, or none")]
pub struct Unreadable;

impl Policy {
    /// What the gatekeeper is told of this configuration.
    pub fn of(config: &Config) -> Result<Self, Unreadable> {
        Self::decode(&encode(config))
    }

    /// Reads what [`encode`] has written.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader(bytes);
        let gate = reader.gate()?;
        let resources = (0..reader.number()?)
            .map(|_| reader.resource())
            .collect::<Result<_, _>>()?;
        let users = (0..reader.number()?)
            .map(|_| reader.user(gate.silent))
            .collect::<Result<_, _>>()?;
        if !reader.0.is_empty() {
            return Err(Unreadable);
        }
        Ok(Self {
            gate,
            users,
            resources,
        })
    }

    /// How many genuine knocks each user gets accepted.
    #[must_use]
    pub fn quota(&self) -> Quota {
        Quota::of(self.users.len(), self.gate.seen_salts)
    }

    /// The user with this id.
    #[must_use]
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(&id)
    }

    /// The resource with this id.
    #[must_use]
    pub fn resource(&self, id: ResourceId) -> Option<&Resource> {
        self.resources.get(&id)
    }

    /// Whether this user's proof for this resource is worth the same here as by another policy.
    #[must_use]
    pub fn agrees_with(&self, other: &Self, user: UserId, resource: ResourceId) -> bool {
        let (Some(ours), Some(theirs)) = (self.user(user), other.user(user)) else {
            return false;
        };
        ours.permits(resource) && theirs.permits(resource) && ours.key.is_same(&theirs.key)
    }
}

impl Keyring for Policy {
    fn gate(&self) -> u32 {
        self.gate.number
    }

    fn pairs(&self) -> Vec<(UserId, ResourceId)> {
        let users = self.users.iter();
        users
            .flat_map(|(id, user)| user.permits.iter().map(|resource| (*id, *resource)))
            .collect()
    }

    fn silent_keys(&self, user: UserId) -> Option<&silent::Keys> {
        self.user(user)?.silent.as_deref()
    }
}

/// What the gatekeeper is told of this configuration.
#[must_use]
pub fn encode(config: &Config) -> Zeroizing<Vec<u8>> {
    // Enough, so that it never moves and leaves a copy of the keys behind.
    let mut writer = Writer(Zeroizing::new(Vec::with_capacity(room(config))));
    writer.gate(config);
    writer.number(config.resources().count());
    for (id, resource) in config.resources() {
        writer.u32(id.0);
        writer.text(&resource.name);
        writer.duration(resource.lease);
    }
    writer.number(config.users().count());
    for (id, user) in config.users() {
        writer.u32(id.0);
        writer.text(&user.name);
        writer.flag(user.other_addresses);
        for lane in *user.key.lanes() {
            writer.u64(lane);
        }
        writer.number(user.permits.len());
        for resource in &user.permits {
            writer.u32(resource.0);
        }
    }
    writer.0
}

/// No fewer bytes than it takes.
fn room(config: &Config) -> usize {
    const REST: usize = 256;
    const RESOURCE: usize = 16;
    const USER: usize = 16 + 8 * 2 * LANES;
    let users = config
        .users()
        .map(|(_, user)| USER + user.name.len() + 4 * user.permits.len());
    let resources = config
        .resources()
        .map(|(_, resource)| RESOURCE + resource.name.len());
    REST + users.sum::<usize>() + resources.sum::<usize>()
}

struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    fn gate(&mut self, config: &Config) {
        let gate = &config.gate;
        self.u32(match gate.error_policy {
            ErrorPolicy::Always => 0,
            ErrorPolicy::BasicAuth => 1,
            ErrorPolicy::FullAuth => 2,
        });
        self.flag(gate.xdp == XdpMode::Off);
        self.flag(gate.udp);
        self.flag(gate.silent);
        self.u32(gate.number);
        self.duration(gate.control_timeout);
        self.u32(gate.max_connections);
        self.u32(gate.max_connections_per_source);
        self.u32(gate.pending_challenges);
        self.u32(gate.seen_salts);
        for limit in [gate.limit, gate.budget] {
            self.u64(limit.interval);
            self.u64(limit.tolerance);
        }
        for mask in gate.prefixes.masks() {
            self.0.extend_from_slice(&mask.bytes());
        }
        self.u32(config.firewall.max_opens_per_second);
    }

    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn flag(&mut self, value: bool) {
        self.u32(value.into());
    }

    /// How many follow: the configuration has far fewer than 2^32 of anything.
    fn number(&mut self, value: usize) {
        self.u32(u32::try_from(value).unwrap_or(u32::MAX));
    }

    fn duration(&mut self, value: Duration) {
        self.u64(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn gate(&mut self) -> Result<Gate, Unreadable> {
        Ok(Gate {
            error_policy: match self.u32()? {
                0 => ErrorPolicy::Always,
                1 => ErrorPolicy::BasicAuth,
                2 => ErrorPolicy::FullAuth,
                _ => return Err(Unreadable),
            },
            in_userspace: self.flag()?,
            udp: self.flag()?,
            silent: self.flag()?,
            number: self.u32()?,
            control_timeout: self.duration()?,
            max_connections: self.u32()?,
            max_connections_per_source: self.u32()?,
            pending_challenges: self.u32()?,
            seen_salts: self.u32()?,
            limit: self.limit()?,
            budget: self.limit()?,
            prefixes: Prefixes::from_masks([Address::v6(self.array()?), Address::v6(self.array()?)]),
            max_opens_per_second: self.u32()?,
        })
    }

    fn limit(&mut self) -> Result<Limit, Unreadable> {
        Ok(Limit {
            interval: self.u64()?,
            tolerance: self.u64()?,
        })
    }

    fn resource(&mut self) -> Result<(ResourceId, Resource), Unreadable> {
        let id = ResourceId(self.u32()?);
        let name = self.text()?;
        let lease = self.duration()?;
        Ok((id, Resource { name, lease }))
    }

    fn user(&mut self, silent: bool) -> Result<(UserId, User), Unreadable> {
        let id = UserId(self.u32()?);
        let name = self.text()?;
        let other_addresses = self.flag()?;
        let mut lanes = Zeroizing::new([0; 2 * LANES]);
        for lane in lanes.iter_mut() {
            *lane = self.u64()?;
        }
        let key = KeyedStates::from_lanes(&lanes);
        let permits = (0..self.number()?)
            .map(|_| self.u32().map(ResourceId))
            .collect::<Result<_, _>>()?;
        let user = User {
            id,
            name,
            silent: silent.then(|| Box::new(silent::Keys::derive(&key))),
            key,
            other_addresses,
            permits,
            // The warden knows: it opens nothing for who is over.
            until: None,
        };
        Ok((id, user))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*array)
    }

    fn u32(&mut self) -> Result<u32, Unreadable> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Unreadable> {
        self.array().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Result<bool, Unreadable> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Unreadable),
        }
    }

    fn number(&mut self) -> Result<usize, Unreadable> {
        Ok(self.u32()? as usize)
    }

    fn duration(&mut self) -> Result<Duration, Unreadable> {
        self.u64().map(Duration::from_nanos)
    }

    fn text(&mut self) -> Result<String, Unreadable> {
        let length = self.number()?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        str::from_utf8(text).map(str::to_owned).map_err(|_| Unreadable)
    }
}
