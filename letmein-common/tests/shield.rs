//! The shield's decision, for every flag, port and prefix.

#![expect(
    clippy::expect_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_common::{
    reason::Reason,
    shield::{LeaseKey, PortRule, RULES, Segment, Tables, Transport, check, is_bare_syn, rule_index},
    source::Address,
};
use proptest::prelude::*;
use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv6Addr},
};

const NOW: u64 = 1_000;
const SSH: u16 = 22;
const SYN: Segment = Segment::Tcp(Ok(0x02));

/// Rules and leases in hash maps, for packets from one source.
struct Memory {
    source: Address,
    rules: HashMap<u32, PortRule>,
    leases: HashMap<LeaseKey, u64>,
}

impl Memory {
    fn new(source: &str) -> Self {
        Self {
            source: address(source),
            rules: HashMap::new(),
            leases: HashMap::new(),
        }
    }

    fn shield(mut self, transport: Transport, port: u16, rule: PortRule) -> Self {
        self.rules.insert(rule_index(transport, port), rule);
        self
    }

    fn lease(mut self, address: Address, transport: Transport, rule: PortRule, end: u64) -> Self {
        self.leases.insert(LeaseKey::new(&address, transport, &rule), end);
        self
    }
}

impl Tables for Memory {
    fn rule(&self, index: u32) -> PortRule {
        self.rules.get(&index).copied().unwrap_or_default()
    }

    fn lease_end(&self, transport: Transport, rule: &PortRule) -> Option<u64> {
        let key = LeaseKey::new(&self.source, transport, rule);
        self.leases.get(&key).copied()
    }

    fn now(&self) -> u64 {
        NOW
    }
}

fn address(text: &str) -> Address {
    let address: IpAddr = text.parse().expect("an address");
    address.into()
}

#[test]
fn a_lease_counts_up_to_its_end() {
    let rule = PortRule::shielded(SSH, 128);
    for (end, outcome) in [
        (NOW - 1, Err(Reason::Shield)),
        (NOW, Err(Reason::Shield)),
        (NOW + 1, Ok(())),
    ] {
        let memory = Memory::new("192.0.2.7").shield(Transport::Tcp, SSH, rule);
        let memory = memory.lease(address("192.0.2.7"), Transport::Tcp, rule, end);
        assert_eq!(check(&memory, SYN, SSH), outcome, "{end}");
    }
}

#[test]
fn ports_of_a_range_share_the_lease_of_its_first() {
    let rule = PortRule::shielded(8000, 128);
    let mut memory = Memory::new("192.0.2.7").lease(address("192.0.2.7"), Transport::Tcp, rule, u64::MAX);
    for port in 8000..=8003 {
        memory = memory.shield(Transport::Tcp, port, rule);
    }
    // A neighbour with a lease of its own.
    memory = memory.shield(Transport::Tcp, 8004, PortRule::shielded(8004, 128));
    for port in 8000..=8003 {
        assert_eq!(check(&memory, SYN, port), Ok(()));
    }
    assert_eq!(check(&memory, SYN, 8004), Err(Reason::Shield));
    assert_eq!(check(&memory, SYN, 8005), Ok(()));
}

#[test]
fn each_port_of_each_protocol_has_a_place_of_its_own() {
    let mut places = HashSet::new();
    for transport in [Transport::Tcp, Transport::Udp] {
        for port in 0..=u16::MAX {
            assert!(rule_index(transport, port) < RULES);
            places.insert(rule_index(transport, port));
        }
    }
    assert_eq!(places.len(), RULES as usize);
}

#[test]
fn flags_that_cannot_be_seen_are_let_through_to_other_ports_only() {
    let rule = PortRule::shielded(SSH, 128);
    // Not even for who holds a lease.
    let memory = Memory::new("192.0.2.7").shield(Transport::Tcp, SSH, rule);
    let memory = memory.lease(address("192.0.2.7"), Transport::Tcp, rule, u64::MAX);
    for reason in [Reason::Fragment, Reason::Truncated] {
        assert_eq!(check(&memory, Segment::Tcp(Err(reason)), SSH), Err(reason));
        assert_eq!(check(&memory, Segment::Tcp(Err(reason)), 80), Ok(()));
    }
}

#[test]
fn a_lease_for_one_protocol_is_none_for_the_other() {
    let rule = PortRule::shielded(53, 128);
    let memory = Memory::new("192.0.2.7")
        .shield(Transport::Tcp, 53, rule)
        .shield(Transport::Udp, 53, rule)
        .lease(address("192.0.2.7"), Transport::Tcp, rule, u64::MAX);
    assert_eq!(check(&memory, SYN, 53), Ok(()));
    assert_eq!(check(&memory, Segment::Udp, 53), Err(Reason::Shield));
}

proptest! {
    #[test]
    fn ports_without_a_rule_are_nobodys_business(port: u16, flags: u8, udp: bool) {
        prop_assume!(port != SSH);
        let rule = PortRule::shielded(SSH, 128);
        let memory = Memory::new("192.0.2.7")
            .shield(Transport::Tcp, SSH, rule)
            .shield(Transport::Udp, SSH, rule);
        let segment = if udp { Segment::Udp } else { Segment::Tcp(Ok(flags)) };
        prop_assert_eq!(check(&memory, segment, port), Ok(()));
    }

    #[test]
    fn without_a_lease_what_begins_is_refused_and_what_goes_on_is_not(flags: u8) {
        let memory = Memory::new("192.0.2.7").shield(Transport::Tcp, SSH, PortRule::shielded(SSH, 128));
        let begins = flags & 0x12 == 0x02;
        prop_assert_eq!(is_bare_syn(flags), begins);
        let expected = if begins { Err(Reason::Shield) } else { Ok(()) };
        prop_assert_eq!(check(&memory, Segment::Tcp(Ok(flags)), SSH), expected);
    }

    /// The network as 128-bit arithmetic has it.
    #[test]
    fn a_lease_is_for_its_prefix_and_no_more(guest: u128, bit in 0_u8..128, prefix in 1_u8..=128) {
        let guest = guest | 1 << 127;
        let other = guest ^ 1 << (127 - bit);
        prop_assume!(other >> 32 != 0xFFFF);
        let rule = PortRule::shielded(SSH, prefix);
        let key = |bits: u128| LeaseKey::new(&IpAddr::from(Ipv6Addr::from(bits)).into(), Transport::Tcp, &rule);
        prop_assert_eq!(key(guest) == key(other), bit >= prefix);
        let network = guest & u128::MAX << (128 - prefix);
        prop_assert_eq!(key(guest), key(network));
    }

    #[test]
    fn an_ipv4_lease_is_for_one_address(guest: u32, bit in 0_u8..32, prefix in 1_u8..=128) {
        let rule = PortRule::shielded(SSH, prefix);
        let key = |bits: u32| LeaseKey::new(&Address::v4(bits.to_be_bytes()), Transport::Tcp, &rule);
        prop_assert_ne!(key(guest), key(guest ^ 1 << bit));
    }
}
