//! Leases as set elements: how `nf_tables` writes `address . protocol . port` and its clock.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use netlink_bindings::nftables::{
    PushSetelemListAttrs, SetelemAttrs, SetelemListAttrs, SetelemListElemAttrs,
};

use super::lease::{Lease, LeaseKey, Protocol};

/// A concatenated key: each part padded to four bytes, so 12 bytes for IPv4 and 24 for IPv6.
pub(super) struct ElementKey {
    bytes: [u8; 24],
    length: usize,
}

impl ElementKey {
    pub(super) fn of(key: &LeaseKey) -> Self {
        let mut bytes = [0; 24];
        let address = match key.address.to_canonical() {
            IpAddr::V4(address) => write(&mut bytes, 0, &address.octets()),
            IpAddr::V6(address) => write(&mut bytes, 0, &address.octets()),
        };
        write(&mut bytes, address, &[key.protocol.number()]);
        write(&mut bytes, address + 4, &key.port.to_be_bytes());
        Self {
            bytes,
            length: address + 8,
        }
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

fn read_key(bytes: &[u8]) -> Option<LeaseKey> {
    let (address, rest) = match bytes.len() {
        12 => {
            let (octets, rest) = bytes.split_first_chunk::<4>()?;
            (IpAddr::V4(Ipv4Addr::from(*octets)), rest)
        }
        24 => {
            let (octets, rest) = bytes.split_first_chunk::<16>()?;
            (IpAddr::V6(Ipv6Addr::from(*octets)), rest)
        }
        _ => return None,
    };
    let (&[protocol, _, _, _], rest) = rest.split_first_chunk::<4>()?;
    let port = rest.first_chunk::<2>()?;
    Some(LeaseKey {
        address,
        protocol: Protocol::from_number(protocol)?,
        port: u16::from_be_bytes(*port),
    })
}

/// Writes the attributes that name one element, with its timeout in milliseconds if it is to be added.
pub(super) fn write_element(
    outbox: &mut Vec<u8>,
    table: &str,
    set: &str,
    key: &ElementKey,
    timeout: Option<u64>,
) {
    let element = PushSetelemListAttrs::new(outbox)
        .push_table_bytes(table.as_bytes())
        .push_set_bytes(set.as_bytes())
        .nested_elements()
        .nested_elem()
        .nested_key()
        .push_value(key.as_slice())
        .end_nested();
    if let Some(millis) = timeout {
        // The bindings write this in host order; the kernel reads big-endian.
        drop(element.push_timeout(millis.to_be()));
    }
}

/// Writes the attributes that add these leases to a set, some hundred at most: a list is no longer than 64 KiB.
pub(super) fn write_elements(outbox: &mut Vec<u8>, table: &str, set: &str, leases: &[Lease]) {
    let mut elements = PushSetelemListAttrs::new(outbox)
        .push_table_bytes(table.as_bytes())
        .push_set_bytes(set.as_bytes())
        .nested_elements();
    for lease in leases {
        let element = elements
            .nested_elem()
            .nested_key()
            .push_value(ElementKey::of(&lease.key).as_slice())
            .end_nested();
        let millis = u64::try_from(lease.remaining.as_millis()).unwrap_or(u64::MAX);
        elements = element.push_timeout(millis.to_be()).end_nested();
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

/// Hands each lease in one message of a dump to `each`, with `None` for an element that is no lease of ours:
/// one without a timeout, or for another protocol.
pub(super) fn read_elements(attributes: &[u8], mut each: impl FnMut(Option<Lease>)) {
    for attribute in SetelemListAttrs::new(attributes).flatten() {
        let SetelemListAttrs::Elements(elements) = attribute else {
            continue;
        };
        for SetelemListElemAttrs::Elem(element) in elements.flatten() {
            each(read_element(element.get_buf()));
        }
    }
}

/// Hands the key of each element in a message to `each`, if it can be one of a lease.
pub(super) fn read_keys(attributes: &[u8], mut each: impl FnMut(LeaseKey)) {
    for attribute in SetelemListAttrs::new(attributes).flatten() {
        let SetelemListAttrs::Elements(elements) = attribute else {
            continue;
        };
        for SetelemListElemAttrs::Elem(element) in elements.flatten() {
            element
                .get_key()
                .ok()
                .and_then(|key| key.get_value().ok())
                .and_then(read_key)
                .map(&mut each);
        }
    }
}

fn read_element(attributes: &[u8]) -> Option<Lease> {
    let (mut key, mut remaining) = (None, None);
    for attribute in SetelemAttrs::new(attributes).flatten() {
        match attribute {
            SetelemAttrs::Key(data) => key = data.get_value().ok().and_then(read_key),
            SetelemAttrs::Expiration(millis) => remaining = Some(Duration::from_millis(u64::from_be(millis))),
            _ => {}
        }
    }
    Some(Lease {
        key: key?,
        remaining: remaining?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str, protocol: Protocol, port: u16) -> LeaseKey {
        LeaseKey::new(address.parse().unwrap(), protocol, port)
    }

    #[test]
    fn keys_are_laid_out_as_the_kernel_concatenates() {
        let four = ElementKey::of(&key("192.0.2.1", Protocol::Tcp, 22));
        assert_eq!(four.as_slice(), [192, 0, 2, 1, 6, 0, 0, 0, 0, 22, 0, 0]);
        let six = ElementKey::of(&key("2001:db8::1", Protocol::Udp, 51820));
        let mut expected = vec![0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        expected.extend([17, 0, 0, 0, 0xca, 0x6c, 0, 0]);
        assert_eq!(six.as_slice(), expected);
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_in_it() {
        let address = "::ffff:192.0.2.1".parse().unwrap();
        let mapped = ElementKey::of(&LeaseKey {
            address,
            protocol: Protocol::Tcp,
            port: 22,
        });
        assert_eq!(mapped.as_slice(), [192, 0, 2, 1, 6, 0, 0, 0, 0, 22, 0, 0]);
    }

    #[test]
    fn keys_come_back_as_they_went() {
        for key in [
            key("192.0.2.1", Protocol::Tcp, 22),
            key("2001:db8::1", Protocol::Udp, 65535),
        ] {
            assert_eq!(read_key(ElementKey::of(&key).as_slice()), Some(key));
        }
        assert_eq!(read_key(&[0; 11]), None);
        assert_eq!(read_key(&[192, 0, 2, 1, 132, 0, 0, 0, 0, 22, 0, 0]), None);
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
            .push_value(ElementKey::of(&wanted).as_slice())
            .end_nested();
        let list = element.push_expiration(1500_u64.to_be()).end_nested();
        let permanent = list
            .nested_elem()
            .nested_key()
            .push_value(ElementKey::of(&wanted).as_slice());
        drop(permanent);

        let mut read = Vec::new();
        read_elements(&message, |lease| read.push(lease));
        let lease = Lease {
            key: wanted,
            remaining: Duration::from_millis(1500),
        };
        assert_eq!(read, [Some(lease), None]);
    }

    #[test]
    fn a_cut_off_message_yields_no_lease() {
        let mut message = Vec::new();
        let key = ElementKey::of(&key("192.0.2.1", Protocol::Tcp, 22));
        write_element(&mut message, "filter", "leases4", &key, Some(1000));
        for length in 0..message.len() {
            read_elements(&message[..length], |lease| assert_eq!(lease, None));
        }
    }
}
