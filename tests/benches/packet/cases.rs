//! The packets that are measured.

use etherparse::{Ethernet2Header, PacketBuilder, PacketBuilderStep};
use letmein_common::{
    DEFAULT_CONTROL_PORT, ResourceId, UserId,
    bucket::Limit,
    hmac::{Auth, KeyedStates},
    maps::{Pending, PendingKey, PermitKey, Settings, Tag},
    reason::Reason,
    shield::PortRule,
    source::{Address, Prefixes},
    wire::{
        challenge::{Message, NO_TOKEN, Operation},
        silent::{self, Keys, Request},
    },
};
use letmein_daemon::{
    firewall::{LeaseKey, Protocol},
    silent::tags::Change,
    xdp::{Framing, Plan, Shield, ShieldPlan, SilentPlan, XdpError},
};
use letmein_tests::figures;
use std::net::Ipv4Addr;

/// Verdicts of `linux/bpf.h`.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// The key of the one user, from which the crates start as well.
pub const KEY: [u8; 32] = *b"the raw key that both start with";
const USER: UserId = UserId(0x10);
const RESOURCE: ResourceId = ResourceId(1);
const SOURCE: [u8; 4] = [192, 0, 2, 7];
const GATE: [u8; 4] = [192, 0, 2, 1];
const SOURCE_PORT: u16 = 40_000;
const TOKEN: Auth = [0x77; 32];
const TAG: u64 = 0x0123_4567_89AB_CDEF;
/// A protected port.
const PROTECTED: u16 = 22;
/// Where those are: 10.0.0.0/8.
const NEIGHBOURS: u32 = 0x0A00_0000;
/// Holds none.
const STRANGER: [u8; 4] = [198, 51, 100, 7];

/// How many others hold leases for the protected port: a hundred times fewer in a smoke run.
fn others() -> u32 {
    if figures::quick() { 10_000 } else { 1_000_000 }
}

/// A frame, and what has to become of it.
pub struct Case {
    pub name: &'static str,
    pub frame: Vec<u8>,
    pub verdict: u32,
    /// The counter that it has to raise.
    pub counted: Counted,
}

#[derive(Clone, Copy, Debug)]
pub enum Counted {
    Nowhere,
    Genuine,
    Refused(Reason),
}

impl Case {
    fn refused(name: &'static str, payload: &[u8], reason: Reason) -> Self {
        Self {
            name,
            frame: udp(DEFAULT_CONTROL_PORT, payload),
            verdict: XDP_DROP,
            counted: Counted::Refused(reason),
        }
    }

    fn other(name: &'static str, frame: Vec<u8>) -> Self {
        Self {
            name,
            frame,
            verdict: XDP_PASS,
            counted: Counted::Nowhere,
        }
    }

    /// Whether it costs a MAC.
    pub fn is_dear(&self) -> bool {
        matches!(self.counted, Counted::Genuine | Counted::Refused(Reason::Auth))
    }
}

/// A token bucket that is looked at but never empty.
const ENDLESS: Limit = Limit::new(1_000_000_000, u32::MAX);

/// The user and all packets.
pub struct Cases {
    key: KeyedStates,
    silent: Keys,
    salt: u64,
    nonce: u64,
}

impl Cases {
    pub fn new() -> Self {
        let key = KeyedStates::new(&KEY);
        Self {
            silent: Keys::derive(&key),
            key,
            salt: 0,
            nonce: 0,
        }
    }

    /// One user, one resource, and token buckets that are looked at but never empty.
    pub fn plan(&self) -> Plan<'_> {
        self.plan_with(ENDLESS)
    }

    /// The same with another budget of HMACs.
    pub fn plan_with(&self, budget: Limit) -> Plan<'_> {
        Plan {
            settings: Settings {
                limit: ENDLESS,
                budget,
                drained: budget,
                quota: ENDLESS,
                answers: ENDLESS,
                prefixes: Prefixes::new(32, 56),
                control_port: DEFAULT_CONTROL_PORT.into(),
                answer_strangers: 0,
                challenge: 1,
                silent: 1,
                shield_tcp: 1,
                shield_udp: 0,
            },
            users: vec![(USER, &self.key)],
            permits: vec![PermitKey {
                user: USER,
                resource: RESOURCE,
            }],
            seen_salts: 65_536,
            pending_challenges: 4096,
            silent: Some(SilentPlan {
                keys: vec![(USER, &self.silent.mac)],
                pairs: 1,
            }),
            framings: vec![Framing::Ethernet],
            pins: None,
            shield: Some(ShieldPlan {
                rules: vec![(Protocol::Tcp, PROTECTED, PortRule::shielded(PROTECTED, 128))],
                leases: others() + 1,
            }),
        }
    }

    /// The lease of [`SOURCE`], and very many others.
    pub fn lease(shield: &mut Shield) -> Result<(), XdpError> {
        let others = (NEIGHBOURS..NEIGHBOURS + others()).map(Ipv4Addr::from);
        for address in others.chain([SOURCE.into()]) {
            let key = LeaseKey::new(address.into(), Protocol::Tcp, PROTECTED);
            shield.admit(&key, u64::MAX)?;
        }
        Ok(())
    }

    /// The challenge that the genuine RESPONSE answers.
    pub fn pending() -> (PendingKey, Pending) {
        (
            PendingKey::new(&Address::v4(SOURCE), SOURCE_PORT, USER, RESOURCE),
            Pending {
                token: TOKEN,
                expires: u64::MAX,
            },
        )
    }

    /// The tag of the genuine silent knocks, taken at any time.
    pub fn tag(&self) -> Change {
        Change::Set(
            TAG,
            Tag {
                check: self.silent.check.clone(),
                from: 0,
                until: u64::MAX,
                user: USER,
                resource: RESOURCE,
            },
        )
    }

    /// Packets that can be sent again and again.
    pub fn hot(&self) -> Vec<Case> {
        let stranger = self.message(Operation::Knock, UserId(0x1234_5678), &NO_TOKEN);
        let mut forged = self.message(Operation::Knock, USER, &NO_TOKEN);
        forged[55] ^= 1;
        let genuine = self.message(Operation::Response, USER, &TOKEN);
        let mut sniffed = [0x5A; silent::LEN];
        sniffed[..8].copy_from_slice(&TAG.to_le_bytes());
        vec![
            Case::other("other_traffic_ns", udp(443, &[0; 56])),
            Case::other("other_tcp_ns", tcp(443)),
            Case::other("other_syn_ns", syn(SOURCE, 443)),
            Case {
                name: "shield_drop_ns",
                frame: syn(STRANGER, PROTECTED),
                verdict: XDP_DROP,
                counted: Counted::Refused(Reason::Shield),
            },
            Case::other("shield_lease_ns", syn(SOURCE, PROTECTED)),
            Case::refused("junk_ns", &[0x5A; 100], Reason::Length),
            Case::refused("unknown_user_ns", &stranger, Reason::UnknownUser),
            Case::refused("forged_challenge_ns", &forged, Reason::Auth),
            Case {
                name: "genuine_challenge_ns",
                frame: udp(DEFAULT_CONTROL_PORT, &genuine),
                verdict: XDP_PASS,
                counted: Counted::Genuine,
            },
            Case::refused("silent_unknown_tag_ns", &[0x5A; silent::LEN], Reason::UnknownTag),
            Case::refused("silent_forged_ns", &sniffed, Reason::Check),
        ]
    }

    /// A silent knock, and the same once more.
    pub fn replayed(&mut self) -> (Vec<u8>, Case) {
        let knock = self.silent_knock();
        let case = Case::refused("silent_replay_ns", &knock, Reason::Replay);
        (case.frame.clone(), case)
    }

    /// Genuine silent knocks, none of them seen before.
    pub fn silent_knocks(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count)
            .map(|_| udp(DEFAULT_CONTROL_PORT, &self.silent_knock()))
            .collect()
    }

    fn silent_knock(&mut self) -> [u8; silent::LEN] {
        self.nonce += 1;
        let mut nonce = [0; silent::NONCE_LEN];
        nonce[..8].copy_from_slice(&self.nonce.to_le_bytes());
        let request = Request {
            operation: Operation::Knock,
            lease_seconds: 0,
            address: None,
        };
        self.silent.seal(TAG, nonce, &request)
    }

    /// Genuine KNOCKs, none of them seen before.
    pub fn knocks(&mut self, count: u64) -> Vec<Vec<u8>> {
        let salts = self.salt..self.salt + count;
        self.salt = salts.end;
        salts
            .map(|salt| {
                let message = Message::authenticated(
                    Operation::Knock,
                    USER,
                    RESOURCE,
                    salt.to_be_bytes(),
                    &self.key,
                    &NO_TOKEN,
                );
                udp(DEFAULT_CONTROL_PORT, &message.to_bytes())
            })
            .collect()
    }

    fn message(&self, operation: Operation, user: UserId, token: &Auth) -> [u8; 56] {
        Message::authenticated(operation, user, RESOURCE, [0xAA; 8], &self.key, token).to_bytes()
    }
}

fn ethernet() -> PacketBuilderStep<Ethernet2Header> {
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let builder = ethernet().ipv4(SOURCE, GATE, 64).udp(SOURCE_PORT, port);
    let mut frame = Vec::new();
    // Writing into memory does not fail.
    let _written = builder.write(&mut frame, payload);
    frame
}

fn tcp(port: u16) -> Vec<u8> {
    let builder = ethernet()
        .ipv4(SOURCE, GATE, 64)
        .tcp(SOURCE_PORT, port, 1, 65_535);
    let mut frame = Vec::new();
    let _written = builder.write(&mut frame, &[0; 56]);
    frame
}

fn syn(source: [u8; 4], port: u16) -> Vec<u8> {
    let builder = ethernet()
        .ipv4(source, GATE, 64)
        .tcp(SOURCE_PORT, port, 1, 65_535)
        .syn();
    let mut frame = Vec::new();
    let _written = builder.write(&mut frame, &[]);
    frame
}
