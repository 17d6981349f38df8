//! Connections that are older than the first rule about connections.
//!
//! The kernel follows connections (conntrack) from when the first rule asks about their state. Who has logged in before
//! that is unknown to it, and the next packet would meet a closed port, as if it began something. So conntrack is told of
//! the connections that there are at protected ports, before the rules are there.
//!
//! Over UDP the kernel has no connections that could be listed.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::libc::{AF_INET, AF_INET6};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

use crate::netlink::{NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, answers, retry};

use super::lease::Protocol;

/// TCP sockets in the network namespace of this thread (`proc_pid_net(5)`).
const LISTS: [&str; 2] = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];
/// `TCP_ESTABLISHED` and `TCP_CLOSE_WAIT` of the kernel's `net/tcp_states.h`: the other side may be sending, or we.
const OPEN: [&str; 2] = ["01", "08"];

// linux/netlink.h
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLA_F_NESTED: u16 = 1 << 15;
// linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h
const CT_NEW: u16 = 1 << 8;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
const CTA_PROTOINFO_TCP_FLAGS_ORIGINAL: u16 = 4;
const CTA_PROTOINFO_TCP_FLAGS_REPLY: u16 = 5;
/// `SEEN_REPLY`, `ASSURED` and `CONFIRMED` of `linux/netfilter/nf_conntrack_common.h`.
const STATUS: u32 = 2 | 4 | 8;
/// `TCP_CONNTRACK_ESTABLISHED`.
const ESTABLISHED: u8 = 3;
/// `IP_CT_TCP_FLAG_BE_LIBERAL`, and the same as the mask: nothing is known of sequence numbers and windows.
const LIBERAL: [u8; 2] = [8, 8];
/// The kernel's own default for an established connection, until it sees a packet: five days.
const SECONDS: u32 = 432_000;

/// An open connection of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Connection {
    local: SocketAddr,
    remote: SocketAddr,
}

/// Tells conntrack of all open connections at these ports. Returns of how many it did not know.
pub(super) fn adopt(is_protected: impl Fn(Protocol, u16) -> bool) -> io::Result<usize> {
    let mut connections = Vec::new();
    for list in LISTS {
        match fs::read_to_string(list) {
            Ok(list) => connections.extend(list.lines().filter_map(parse)),
            // A machine without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    connections.retain(|connection| is_protected(Protocol::Tcp, connection.local.port()));
    if connections.is_empty() {
        return Ok(0);
    }
    let conntrack = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    bind(conntrack.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    let mut inbox = [0; 1024];
    let mut adopted = 0;
    for connection in connections {
        retry(|| send(conntrack.as_raw_fd(), &message(&connection), MsgFlags::empty()))?;
        // The kernel has answered when `send` returns.
        let length = retry(|| recv(conntrack.as_raw_fd(), &mut inbox, MsgFlags::MSG_DONTWAIT))?;
        let mut outcome = Some(Errno::EBADMSG);
        answers(inbox.get(..length).unwrap_or_default(), &mut |answer| {
            if answer.kind == NLMSG_ERROR {
                outcome = answer.errno();
            }
        });
        match outcome {
            None => adopted += 1,
            Some(Errno::EEXIST) => {}
            Some(errno) => return Err(errno.into()),
        }
    }
    Ok(adopted)
}

/// A line of the list: number, local and remote address, state, and more.
fn parse(line: &str) -> Option<Connection> {
    let mut words = line.split_whitespace().skip(1);
    let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
    OPEN.contains(&state).then_some(())?;
    Some(Connection {
        local: parse_address(local)?,
        remote: parse_address(remote)?,
    })
}

/// `0100007F:0016`: each 32 bits of the address as this machine has them in memory, but the port as a number.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let mut bytes = [0; 16];
    for (word, place) in address.as_bytes().chunks(8).zip(bytes.chunks_exact_mut(4)) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let [a, b, c, d, ..] = bytes;
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::new(a, b, c, d).into(),
        32 => Ipv6Addr::from(bytes).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

fn message(connection: &Connection) -> Vec<u8> {
    let Connection { local, remote } = *connection;
    #[expect(clippy::cast_possible_truncation, reason = "they are 2 and 10")]
    let family = if local.is_ipv4() {
        AF_INET as u8
    } else {
        AF_INET6 as u8
    };
    let tcp = [
        attribute(CTA_PROTOINFO_TCP_STATE, &[ESTABLISHED]),
        attribute(CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, &LIBERAL),
        attribute(CTA_PROTOINFO_TCP_FLAGS_REPLY, &LIBERAL),
    ];
    let attributes = [
        tuple(CTA_TUPLE_ORIG, remote, local),
        tuple(CTA_TUPLE_REPLY, local, remote),
        attribute(CTA_STATUS, &STATUS.to_be_bytes()),
        attribute(CTA_TIMEOUT, &SECONDS.to_be_bytes()),
        nested(CTA_PROTOINFO, &[nested(CTA_PROTOINFO_TCP, &tcp)]),
    ]
    .concat();
    // struct nlmsghdr, struct nfgenmsg
    let length = u32::try_from(20 + attributes.len()).unwrap_or(u32::MAX);
    let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    [
        &length.to_ne_bytes()[..],
        &CT_NEW.to_ne_bytes(),
        &flags.to_ne_bytes(),
        &[0; 8],
        &[family, 0, 0, 0],
        &attributes,
    ]
    .concat()
}

fn tuple(kind: u16, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    // CTA_IP_V4_SRC and CTA_IP_V4_DST, CTA_IP_V6_SRC and CTA_IP_V6_DST
    let first = if source.is_ipv4() { 1 } else { 3 };
    let addresses = [
        attribute(first, &octets(source.ip())),
        attribute(first + 1, &octets(destination.ip())),
    ];
    let ports = [
        attribute(CTA_PROTO_NUM, &[Protocol::Tcp.number()]),
        attribute(CTA_PROTO_SRC_PORT, &source.port().to_be_bytes()),
        attribute(CTA_PROTO_DST_PORT, &destination.port().to_be_bytes()),
    ];
    nested(
        kind,
        &[nested(CTA_TUPLE_IP, &addresses), nested(CTA_TUPLE_PROTO, &ports)],
    )
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NLA_F_NESTED, &parts.concat())
}

/// Its length and kind, what is in it, and zeros up to the next multiple of four.
fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    // None of these has more than a hundred bytes.
    let length = u16::try_from(4 + payload.len()).unwrap_or(u16::MAX);
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), payload].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(line: &str) -> Option<(String, String)> {
        parse(line).map(|connection| (connection.local.to_string(), connection.remote.to_string()))
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn open_connections_are_read_and_nothing_else() {
        let heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when";
        let listens = "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000";
        assert_eq!(addresses(heading), None);
        assert_eq!(addresses(listens), None);
        let open = "   1: 01014D0A:0016 02014D0A:9C40 01 00000000:00000000 00:00000000";
        let expected = ("10.77.1.1:22".to_owned(), "10.77.1.2:40000".to_owned());
        assert_eq!(addresses(open), Some(expected.clone()));
        let mapped =
            "   2: 0000000000000000FFFF000001014D0A:0016 0000000000000000FFFF000002014D0A:9C40 01 0:0";
        assert_eq!(addresses(mapped), Some(expected));
        let six = "   3: 010077FD000000000000000001000000:0016 010077FD000000000000000002000000:9C40 08 0:0";
        let (local, remote) = addresses(six).unwrap();
        assert!(
            local.ends_with("]:22") && remote.ends_with("]:40000"),
            "{local} {remote}"
        );
        for length in 0..open.len() {
            let _must_not_panic = parse(&open[..length]);
        }
    }
}
