//! The kernel's table of connections, over ctnetlink: what is open, and ending it.

use std::net::IpAddr;

use netlink_bindings::conntrack::{
    ConntrackAttrs, IterableTupleAttrs, TupleAttrs, TupleIpAttrs, TupleProtoAttrs,
};
use nix::errno::Errno;
use nix::libc::{AF_INET, AF_INET6};

use super::lease::Protocol;
use super::lease_set::Family;
use super::netlink::Transport;

// linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h
const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
// linux/netlink.h
const NLA_F_NESTED: u16 = 1 << 15;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tuple {
    pub protocol: Protocol,
    pub source: IpAddr,
    pub source_port: u16,
    pub destination_port: u16,
}

/// A connection, as far as it matters here.
pub(super) struct Flow {
    /// As its first packet was.
    pub original: Tuple,
    /// As answers are: from where the destination was translated to.
    pub reply: Tuple,
    /// What the kernel knows it by.
    handle: Vec<u8>,
}

impl Flow {
    #[cfg(test)]
    pub(super) const fn new(original: Tuple, reply: Tuple) -> Self {
        Self {
            original,
            reply,
            handle: Vec::new(),
        }
    }

    fn read(attributes: &[u8]) -> Option<Self> {
        let (mut original, mut reply, mut handle) = (None, None, Vec::new());
        for attribute in ConntrackAttrs::new(attributes).flatten() {
            match attribute {
                ConntrackAttrs::TupleOrig(tuple) => {
                    append(&mut handle, CTA_TUPLE_ORIG | NLA_F_NESTED, tuple.get_buf());
                    original = read_tuple(tuple);
                }
                ConntrackAttrs::TupleReply(tuple) => reply = read_tuple(tuple),
                ConntrackAttrs::Id(id) => append(&mut handle, CTA_ID, &id.to_be_bytes()),
                ConntrackAttrs::Zone(zone) => append(&mut handle, CTA_ZONE, &zone.to_be_bytes()),
                _ => {}
            }
        }
        Some(Self {
            original: original?,
            reply: reply?,
            handle,
        })
    }
}

fn read_tuple(tuple: IterableTupleAttrs<'_>) -> Option<Tuple> {
    let (mut source, mut protocol, mut source_port, mut destination_port) = (None, None, None, None);
    for attribute in tuple.flatten() {
        match attribute {
            TupleAttrs::TupleIp(addresses) => {
                for address in addresses.flatten() {
                    match address {
                        TupleIpAttrs::IpV4Src(address) => source = Some(address.into()),
                        TupleIpAttrs::IpV6Src(address) => source = Some(address.into()),
                        TupleIpAttrs::IpV4Dst(_) | TupleIpAttrs::IpV6Dst(_) => {}
                    }
                }
            }
            TupleAttrs::TupleProto(parts) => {
                for part in parts.flatten() {
                    match part {
                        TupleProtoAttrs::ProtoNum(number) => protocol = Protocol::from_number(number),
                        TupleProtoAttrs::ProtoSrcPort(port) => source_port = Some(port),
                        TupleProtoAttrs::ProtoDstPort(port) => destination_port = Some(port),
                        _ => {}
                    }
                }
            }
            TupleAttrs::TupleZone(_) => {}
        }
    }
    Some(Tuple {
        protocol: protocol?,
        source: source?,
        source_port: source_port?,
        destination_port: destination_port?,
    })
}

/// Appends an attribute: its length and kind, what is in it, and zeros up to the next multiple of four.
fn append(outbox: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    // A tuple has less than a hundred bytes.
    let length = u16::try_from(4 + payload.len()).unwrap_or(u16::MAX);
    outbox.extend(length.to_ne_bytes());
    outbox.extend(kind.to_ne_bytes());
    outbox.extend(payload);
    outbox.resize(outbox.len().next_multiple_of(4), 0);
}

const fn family_number(family: Family) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "they are 2 and 10")]
    match family {
        Family::V4 => AF_INET as u8,
        Family::V6 => AF_INET6 as u8,
    }
}

/// Hands every connection over TCP and UDP to `each`.
pub(super) fn flows(
    transport: &mut Transport,
    family: Family,
    mut each: impl FnMut(Flow),
) -> Result<(), Errno> {
    let kind = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET;
    transport.dump_of(
        kind,
        family_number(family),
        |_| (),
        |answer| {
            if let Some(flow) = Flow::read(answer) {
                each(flow);
            }
        },
    )
}

/// Forgets a connection. Returns whether it was still there.
pub(super) fn delete(transport: &mut Transport, family: Family, flow: &Flow) -> Result<bool, Errno> {
    let kind = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE;
    match transport.request(kind, family_number(family), |outbox| outbox.extend(&flow.handle)) {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attributes as the kernel writes them: nested, and in network byte order.
    fn nested(kind: u16, parts: &[(u16, &[u8])]) -> Vec<u8> {
        let mut inner = Vec::new();
        for (kind, bytes) in parts {
            append(&mut inner, *kind, bytes);
        }
        let mut outer = Vec::new();
        append(&mut outer, kind | NLA_F_NESTED, &inner);
        outer
    }

    fn tuple(kind: u16, protocol: u8, source: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
        let ip = nested(1, &[(1, &source), (2, &[10, 0, 0, 1])]);
        let [source_port, destination_port] = ports.map(u16::to_be_bytes);
        let proto = nested(2, &[(1, &[protocol]), (2, &source_port), (3, &destination_port)]);
        let mut outer = Vec::new();
        append(&mut outer, kind | NLA_F_NESTED, &[ip, proto].concat());
        outer
    }

    #[test]
    fn a_connection_is_read_with_both_its_directions() {
        let original = tuple(1, 6, [192, 0, 2, 1], [40000, 8080]);
        let reply = tuple(2, 6, [10, 0, 0, 2], [80, 40000]);
        let mut id = Vec::new();
        append(&mut id, CTA_ID, &[0, 0, 0, 7]);
        let flow = Flow::read(&[original.clone(), reply, id.clone()].concat()).unwrap();
        let expected = Tuple {
            protocol: Protocol::Tcp,
            source: [192, 0, 2, 1].into(),
            source_port: 40000,
            destination_port: 8080,
        };
        assert_eq!(flow.original, expected);
        assert_eq!(
            (flow.reply.source, flow.reply.source_port),
            ([10, 0, 0, 2].into(), 80)
        );
        assert_eq!(flow.handle, [original, id].concat());
    }

    #[test]
    fn what_has_no_ports_or_is_cut_off_is_no_connection() {
        let icmp = [
            tuple(1, 1, [192, 0, 2, 1], [1, 2]),
            tuple(2, 1, [192, 0, 2, 1], [1, 2]),
        ]
        .concat();
        assert!(Flow::read(&icmp).is_none());
        let whole = [
            tuple(1, 17, [192, 0, 2, 1], [1, 2]),
            tuple(2, 17, [192, 0, 2, 1], [2, 1]),
        ]
        .concat();
        assert!(Flow::read(&whole).is_some());
        for length in 0..whole.len() {
            assert!(Flow::read(&whole[..length]).is_none(), "{length}");
        }
    }
}
