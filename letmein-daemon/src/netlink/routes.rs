//! Whose an address is, as the kernel's routing tables have it.

use super::{Answer, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, answers, retry};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use std::{
    cell::Cell,
    io,
    net::IpAddr,
    os::fd::{AsRawFd as _, OwnedFd},
};

// linux/rtnetlink.h
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
const RTA_DST: u16 = 1;
/// Where `struct rtmsg` has the type of the route.
const TYPE: usize = 7;
const RTN_LOCAL: u8 = 2;
const RTN_BROADCAST: u8 = 3;
const RTN_ANYCAST: u8 = 4;
const RTN_MULTICAST: u8 = 5;
/// `AF_INET` and `AF_INET6`.
const INET: u8 = 2;
const INET6: u8 = 10;
/// Length of `struct rtmsg`.
const ROUTE: usize = 12;
/// Length of `struct ifaddrmsg`.
const ADDRESS: usize = 8;
// linux/if_addr.h
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// The largest answer.
const INBOX: usize = 32 * 1024;

/// Asks for addresses, in the network namespace of the thread that made it. Takes no privilege.
pub struct Routes {
    socket: OwnedFd,
    sequence: Cell<u32>,
}

/// Who gets a packet for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This machine.
    Ours,
    /// Several, by broadcast or multicast.
    Group,
    /// Somebody else, or nobody.
    Other,
}

impl Routes {
    /// A socket to ask with.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        Ok(Self {
            socket: socket(
                AddressFamily::Netlink,
                SockType::Raw,
                flags,
                SockProtocol::NetlinkRoute,
            )?,
            sequence: Cell::new(0),
        })
    }

    /// Whose it is by the routes. Knows every address that the kernel takes packets for, also whole networks of them
    /// (`ip route add local`), but for tables that are not asked without more ado: those of a VRF.
    pub fn whose(&self, address: IpAddr) -> io::Result<Whose> {
        let bytes = octets(address);
        let mut message = vec![family(address), low_byte(bytes.len() * 8)];
        message.resize(ROUTE, 0);
        message.extend(low_word(4 + bytes.len()).to_ne_bytes());
        message.extend(RTA_DST.to_ne_bytes());
        message.extend(&bytes);
        let mut whose = Whose::Other;
        self.ask(GET_ROUTE, NLM_F_REQUEST, &message, &mut |answer| {
            if answer.kind == NEW_ROUTE {
                whose = match answer.payload.get(TYPE) {
                    Some(&(RTN_LOCAL | RTN_ANYCAST)) => Whose::Ours,
                    Some(&(RTN_BROADCAST | RTN_MULTICAST)) => Whose::Group,
                    _ => Whose::Other,
                };
            }
            // No route leads there: nobody's. That is an answer as well.
            matches!(answer.kind, NEW_ROUTE | NLMSG_ERROR)
        })?;
        Ok(whose)
    }

    /// Whether an interface has it, whichever table its route is in.
    pub fn is_assigned(&self, address: IpAddr) -> io::Result<bool> {
        let mut message = vec![family(address)];
        message.resize(ADDRESS, 0);
        let wanted = octets(address);
        let mut found = false;
        self.ask(GET_ADDRESS, NLM_F_REQUEST | NLM_F_DUMP, &message, &mut |answer| {
            if answer.kind == NEW_ADDRESS {
                found |= own(answer.payload).is_some_and(|own| own == wanted);
            }
            matches!(answer.kind, NLMSG_DONE | NLMSG_ERROR)
        })?;
        Ok(found)
    }

    /// Hands on the answers until one is the last.
    fn ask(
        &self,
        kind: u16,
        flags: u16,
        message: &[u8],
        is_last: &mut dyn FnMut(&Answer<'_>) -> bool,
    ) -> io::Result<()> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let mut request = u32::try_from(16 + message.len())
            .unwrap_or(u32::MAX)
            .to_ne_bytes()
            .to_vec();
        request.extend(kind.to_ne_bytes());
        request.extend(flags.to_ne_bytes());
        request.extend(sequence.to_ne_bytes());
        request.extend([0; 4]);
        request.extend(message);
        let socket = self.socket.as_raw_fd();
        retry(|| send(socket, &request, MsgFlags::empty()))?;
        let mut inbox = vec![0; INBOX];
        let mut done = false;
        while !done {
            // The kernel has queued its answer before `send` returned, and the next piece of it before `recv` did.
            let length = retry(|| recv(socket, &mut inbox, MsgFlags::MSG_DONTWAIT))?;
            answers(inbox.get(..length).unwrap_or_default(), &mut |answer| {
                // Anything else is what is left of a question that was given up.
                if answer.sequence == sequence {
                    done |= is_last(answer);
                }
            });
        }
        Ok(())
    }
}

/// The address that an `RTM_NEWADDR` is about: of a link between two, ours.
fn own(payload: &[u8]) -> Option<&[u8]> {
    let mut rest = payload.get(ADDRESS..)?;
    let mut found = None;
    while let Some([a, b, c, d]) = rest.first_chunk().copied() {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = rest.get(4..length)?;
        match u16::from_ne_bytes([c, d]) {
            IFA_LOCAL => return Some(value),
            IFA_ADDRESS => found = Some(value),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

const fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => INET,
        IpAddr::V6(_) => INET6,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn low_byte(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn low_word(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Routes, Whose};

    #[test]
    fn the_kernel_tells_whose_an_address_is() {
        let routes = Routes::open().unwrap();
        for _ in 0..2 {
            for (address, whose) in [
                ("127.0.0.1", Whose::Ours),
                // All of that network is.
                ("127.9.9.9", Whose::Ours),
                ("::1", Whose::Ours),
                ("127.255.255.255", Whose::Group),
                ("192.0.2.7", Whose::Other),
                ("2001:db8::7", Whose::Other),
            ] {
                assert_eq!(
                    routes.whose(address.parse().unwrap()).unwrap(),
                    whose,
                    "{address}"
                );
            }
            assert!(routes.is_assigned("127.0.0.1".parse().unwrap()).unwrap());
            assert!(!routes.is_assigned("192.0.2.7".parse().unwrap()).unwrap());
        }
    }
}
