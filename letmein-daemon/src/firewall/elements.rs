//! Leases as set elements: how `nf_tables` writes `address . protocol . port`, or the address alone, and its clock.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use netlink_bindings::nftables::{
    PushSetelemListAttrs, SetelemAttrs, SetelemListAttrs, SetelemListElemAttrs,
};

use super::comment::{self, Comment};
use super::lease::{Lease, LeaseKey, Protocol, Target};
use super::lease_set::{Family, Kind, LeaseSet};

/// The key of an element. A concatenated one has each part padded to four bytes, so 12 bytes for IPv4 and 24 for IPv6.
pub(super) struct ElementKey {
    bytes: [u8; 24],
    length: usize,
}

impl ElementKey {
    /// The element of this set that is this lease.
    pub(super) fn of(set: LeaseSet, key: &LeaseKey) -> Self {
        let mut bytes = [0; 24];
        let length = match key.address.to_canonical() {
            IpAddr::V4(address) => write(&mut bytes, 0, &address.octets()),
            IpAddr::V6(address) => write(&mut bytes, 0, &address.octets()),
        };
        let (Kind::Ports, Target::Port(protocol, port)) = (set.kind, key.target) else {
            return Self { bytes, length };
        };
        write(&mut bytes, length, &[protocol.number()]);
        write(&mut bytes, length + 4, &port.to_be_bytes());
        Self {
            bytes,
            length: length + 8,
        }
    }

    /// The element of the set of UDP flows that were cut: client address, client port, port here.
    pub(super) fn of_flow(address: IpAddr, client: u16, here: u16) -> Self {
        let mut bytes = [0; 24];
        let length = match address.to_canonical() {
            IpAddr::V4(address) => write(&mut bytes, 0, &address.octets()),
            IpAddr::V6(address) => write(&mut bytes, 0, &address.octets()),
        };
        write(&mut bytes, length, &client.to_be_bytes());
        write(&mut bytes, length + 4, &here.to_be_bytes());
        Self {
            bytes,
            length: length + 8,
        }
    }

    /// Client address, client port and port here of such an element.
    fn read_flow(family: Family, bytes: &[u8]) -> Option<(IpAddr, u16, u16)> {
        let (address, rest) = split_address(family, bytes)?;
        let &[a, b, _, _, c, d, _, _] = rest else {
            return None;
        };
        Some((address, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Copies `part` to `at` and returns where it ends.
fn write(bytes: &mut [u8; 24], at: usize, part: &[u8]) -> usize {
    let end = at + part.len();
    if let Some(place) = bytes.get_mut(at..end) {
        place.copy_from_slice(part);
    }
    end
}

/// The address that a key begins with, and what comes after it.
fn split_address(family: Family, bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    match family {
        Family::V4 => {
            let (octets, rest) = bytes.split_first_chunk::<4>()?;
            Some((Ipv4Addr::from(*octets).into(), rest))
        }
        Family::V6 => {
            let (octets, rest) = bytes.split_first_chunk::<16>()?;
            Some((Ipv6Addr::from(*octets).into(), rest))
        }
    }
}

/// The lease that an element of this set is.
fn read_key(set: LeaseSet, bytes: &[u8]) -> Option<LeaseKey> {
    let (address, rest) = split_address(set.family, bytes)?;
    let target = match (set.kind, rest) {
        (Kind::Ports, &[protocol, _, _, _, high, low, _, _]) => {
            Target::Port(Protocol::from_number(protocol)?, u16::from_be_bytes([high, low]))
        }
        (Kind::Range(ports), []) => Target::Port(ports.protocol, ports.first),
        (Kind::Jump(resource), []) if set.prefix == 0 => Target::JumpForAll(resource),
        (Kind::Jump(resource), []) => Target::Jump(resource),
        _ => return None,
    };
    Some(LeaseKey { address, target })
}

/// Writes the attributes that name one element, with its timeout in milliseconds and its comment if it is to be added.
pub(super) fn write_element(
    outbox: &mut Vec<u8>,
    table: &str,
    set: &str,
    key: &ElementKey,
    added: Option<(u64, &[u8])>,
) {
    let element = PushSetelemListAttrs::new(outbox)
        .push_table_bytes(table.as_bytes())
        .push_set_bytes(set.as_bytes())
        .nested_elements()
        .nested_elem()
        .nested_key()
        .push_value(key.as_slice())
        .end_nested();
    if let Some((millis, comment)) = added {
        // The bindings write this in host order; the kernel reads big-endian.
        let element = element.push_timeout(millis.to_be());
        if !comment.is_empty() {
            drop(element.push_userdata(comment));
        }
    }
}

/// Writes the attributes that add these leases to a set, some hundred at most: a list is no longer than 64 KiB.
pub(super) fn write_elements(outbox: &mut Vec<u8>, table: &str, name: &str, set: LeaseSet, leases: &[Lease]) {
    let mut elements = PushSetelemListAttrs::new(outbox)
        .push_table_bytes(table.as_bytes())
        .push_set_bytes(name.as_bytes())
        .nested_elements();
    for lease in leases {
        let element = elements
            .nested_elem()
            .nested_key()
            .push_value(ElementKey::of(set, &lease.key).as_slice())
            .end_nested();
        let millis = u64::try_from(lease.remaining.as_millis()).unwrap_or(u64::MAX);
        let mut element = element.push_timeout(millis.to_be());
        let comment = comment::to_bytes(lease);
        if !comment.is_empty() {
            element = element.push_userdata(&comment);
        }
        elements = element.end_nested();
    }
}

/// Writes the attributes that name a set, for a dump of it or for emptying it.
pub(super) fn write_set(outbox: &mut Vec<u8>, table: &str, set: &str) {
    drop(
        PushSetelemListAttrs::new(outbox)
            .push_table_bytes(table.as_bytes())
            .push_set_bytes(set.as_bytes()),
    );
}

/// Hands each lease in one message of a dump of `set` to `each`, with `None` for an element that is no lease of ours:
/// one without a timeout, or for another protocol.
pub(super) fn read_elements(set: LeaseSet, attributes: &[u8], mut each: impl FnMut(Option<Lease>)) {
    for attribute in SetelemListAttrs::new(attributes).flatten() {
        let SetelemListAttrs::Elements(elements) = attribute else {
            continue;
        };
        for SetelemListElemAttrs::Elem(element) in elements.flatten() {
            each(read_element(set, element.get_buf()));
        }
    }
}

/// Hands the key of each element in a message to `each`, if it can be one of a lease.
pub(super) fn read_keys(set: LeaseSet, attributes: &[u8], mut each: impl FnMut(LeaseKey)) {
    for attribute in SetelemListAttrs::new(attributes).flatten() {
        let SetelemListAttrs::Elements(elements) = attribute else {
            continue;
        };
        for SetelemListElemAttrs::Elem(element) in elements.flatten() {
            element
                .get_key()
                .ok()
                .and_then(|key| key.get_value().ok())
                .and_then(|key| read_key(set, key))
                .map(&mut each);
        }
    }
}

/// The name of the set that a message is about.
pub(super) fn set_name(attributes: &[u8]) -> Option<&str> {
    SetelemListAttrs::new(attributes).get_set().ok()?.to_str().ok()
}

/// The same for a set of UDP flows that were cut: client address, client port, port here.
pub(super) fn read_flows(family: Family, attributes: &[u8], mut each: impl FnMut(IpAddr, u16, u16)) {
    for attribute in SetelemListAttrs::new(attributes).flatten() {
        let SetelemListAttrs::Elements(elements) = attribute else {
            continue;
        };
        for SetelemListElemAttrs::Elem(element) in elements.flatten() {
            for attribute in SetelemAttrs::new(element.get_buf()).flatten() {
                if let SetelemAttrs::Key(data) = attribute
                    && let Some((address, client, here)) = data
                        .get_value()
                        .ok()
                        .and_then(|key| ElementKey::read_flow(family, key))
                {
                    each(address, client, here);
                }
            }
        }
    }
}

fn read_element(set: LeaseSet, attributes: &[u8]) -> Option<Lease> {
    let (mut key, mut remaining, mut comment) = (None, None, Comment::default());
    for attribute in SetelemAttrs::new(attributes).flatten() {
        match attribute {
            SetelemAttrs::Key(data) => key = data.get_value().ok().and_then(|key| read_key(set, key)),
            SetelemAttrs::Expiration(millis) => remaining = Some(Duration::from_millis(u64::from_be(millis))),
            SetelemAttrs::Userdata(bytes) => comment = comment::from_bytes(bytes),
            _ => {}
        }
    }
    Some(Lease {
        key: key?,
        remaining: remaining?,
        opener: comment.opener,
        others: comment.others,
    })
}

#[cfg(test)]
mod tests {
    use letmein_common::{ResourceId, UserId};

    use crate::leases::Opener;

    use super::super::ports::PortRange;
    use super::*;

    const LEASES4: LeaseSet = LeaseSet {
        family: Family::V4,
        prefix: 32,
        kind: Kind::Ports,
    };
    const LEASES6: LeaseSet = LeaseSet {
        family: Family::V6,
        prefix: 128,
        kind: Kind::Ports,
    };
    const RANGE: Kind = Kind::Range(PortRange {
        protocol: Protocol::Udp,
        first: 60000,
        last: 61000,
    });

    fn key(address: &str, protocol: Protocol, port: u16) -> LeaseKey {
        LeaseKey::new(address.parse().unwrap(), protocol, port)
    }

    #[test]
    fn keys_are_laid_out_as_the_kernel_concatenates() {
        let four = ElementKey::of(LEASES4, &key("192.0.2.1", Protocol::Tcp, 22));
        assert_eq!(four.as_slice(), [192, 0, 2, 1, 6, 0, 0, 0, 0, 22, 0, 0]);
        let six = ElementKey::of(LEASES6, &key("2001:db8::1", Protocol::Udp, 51820));
        let mut expected = vec![0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        expected.extend([17, 0, 0, 0, 0xca, 0x6c, 0, 0]);
        assert_eq!(six.as_slice(), expected);
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_in_it() {
        let address = "::ffff:192.0.2.1".parse().unwrap();
        let target = Target::Port(Protocol::Tcp, 22);
        let mapped = ElementKey::of(LEASES4, &LeaseKey { address, target });
        assert_eq!(mapped.as_slice(), [192, 0, 2, 1, 6, 0, 0, 0, 0, 22, 0, 0]);
    }

    #[test]
    fn keys_come_back_as_they_went() {
        let range = |set| LeaseSet { kind: RANGE, ..set };
        let jump = |set| LeaseSet {
            kind: Kind::Jump(ResourceId(0x1A)),
            ..set
        };
        let [all4, all6] = LeaseKey::jump_for_all(ResourceId(0x1A));
        let for_all = |set| LeaseSet {
            prefix: 0,
            ..jump(set)
        };
        for (set, key) in [
            (
                jump(LEASES4),
                LeaseKey::jump([192, 0, 2, 1].into(), ResourceId(0x1A)),
            ),
            (for_all(LEASES4), all4),
            (for_all(LEASES6), all6),
            (LEASES4, key("192.0.2.1", Protocol::Tcp, 22)),
            (LEASES6, key("2001:db8::1", Protocol::Udp, 65535)),
            (range(LEASES4), key("192.0.2.1", Protocol::Udp, 60000)),
            (range(LEASES6), key("2001:db8::1", Protocol::Udp, 60000)),
        ] {
            assert_eq!(read_key(set, ElementKey::of(set, &key).as_slice()), Some(key));
        }
        assert_eq!(read_key(LEASES4, &[0; 11]), None);
        assert_eq!(read_key(LEASES4, &[0; 24]), None);
        assert_eq!(read_key(range(LEASES4), &[0; 12]), None);
        assert_eq!(
            read_key(LEASES4, &[192, 0, 2, 1, 132, 0, 0, 0, 0, 22, 0, 0]),
            None
        );
    }

    #[test]
    fn a_range_is_one_element_whose_key_is_the_address() {
        let set = LeaseSet {
            kind: RANGE,
            ..LEASES4
        };
        let element = ElementKey::of(set, &key("192.0.2.1", Protocol::Udp, 60000));
        assert_eq!(element.as_slice(), [192, 0, 2, 1]);
    }

    #[test]
    fn flows_come_back_as_they_went() {
        for address in ["192.0.2.1", "2001:db8::1"] {
            let address: IpAddr = address.parse().unwrap();
            let element = ElementKey::of_flow(address, 40000, 60001);
            assert_eq!(
                ElementKey::read_flow(Family::of(address), element.as_slice()),
                Some((address, 40000, 60001))
            );
        }
        assert_eq!(ElementKey::read_flow(Family::V4, &[0; 11]), None);
        assert_eq!(ElementKey::read_flow(Family::V6, &[0; 20]), None);
    }

    #[test]
    fn elements_are_read_with_their_clock_and_without_one_are_no_leases() {
        let wanted = key("192.0.2.1", Protocol::Tcp, 22);
        let mut message = Vec::new();
        let element = PushSetelemListAttrs::new(&mut message)
            .nested_elements()
            .nested_elem();
        let element = element
            .nested_key()
            .push_value(ElementKey::of(LEASES4, &wanted).as_slice())
            .end_nested();
        let element = element.push_userdata(b"\0\x1buser 0000001A, 0000002B -1\0");
        let list = element.push_expiration(1500_u64.to_be()).end_nested();
        let permanent = list
            .nested_elem()
            .nested_key()
            .push_value(ElementKey::of(LEASES4, &wanted).as_slice());
        drop(permanent);

        let mut read = Vec::new();
        read_elements(LEASES4, &message, |lease| read.push(lease));
        let lease = Lease {
            key: wanted,
            remaining: Duration::from_millis(1500),
            opener: Opener::User(UserId(0x1A)),
            others: vec![(Opener::User(UserId(0x2B)), Duration::from_secs(1))],
        };
        let grants: Vec<_> = lease
            .grants()
            .map(|(_, remaining)| remaining.as_millis())
            .collect();
        assert_eq!(grants, [1500, 500]);
        assert_eq!(read, [Some(lease), None]);
    }

    #[test]
    fn a_cut_off_message_yields_no_lease() {
        let mut message = Vec::new();
        let key = ElementKey::of(LEASES4, &key("192.0.2.1", Protocol::Tcp, 22));
        write_element(
            &mut message,
            "filter",
            "leases4",
            &key,
            Some((1000, b"\0\x0eoperator 1000\0")),
        );
        for length in 0..message.len() {
            read_elements(LEASES4, &message[..length], |lease| assert_eq!(lease, None));
        }
    }
}
