//! What the kernel says of one network interface.

use super::{Answer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, answers, retry};
use netlink_bindings::{
    builtin::Nlmsghdr,
    rt_link::{Ifinfomsg, LinkAttrs, PushLinkAttrs, XdpAttrs},
};
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket},
};
use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

// linux/rtnetlink.h
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
/// `RTEXT_FILTER_SKIP_STATS`
const SKIP_STATS: u32 = 8;
/// `IFF_UP` of `linux/if.h`
const UP: u32 = 1;
// linux/if_link.h
const LINKINFO: u16 = 18;
const INFO_DATA: u16 = 2;
const IPVLAN_MODE: u16 = 1;
/// `IPVLAN_MODE_L3S`
const L3S: u16 = 2;
/// `NLA_TYPE_MASK` of `linux/netlink.h`
const TYPE: u16 = 0x3FFF;
/// How often to ask for all interfaces before giving up.
const DUMPS: usize = 10;
/// The largest description of an interface.
const INBOX: usize = 64 * 1024;

/// Asks for interfaces, in the network namespace of the thread that made it.
pub struct Links {
    socket: OwnedFd,
    inbox: Box<[u8]>,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number, which no other one gets while this one is there.
    pub index: i32,
    /// Its name.
    pub name: String,
    /// Its type, `ARPHRD_*` of `linux/if_arp.h`.
    pub hardware: u16,
    /// Its kind, such as `vlan`; empty for a network card.
    pub kind: String,
    /// Whether it is an ipvlan in mode `l3s`.
    pub is_l3s: bool,
    /// Whether it is up.
    pub up: bool,
    /// The number of the interface that it is a port of: a bridge, a bond.
    pub master: Option<i32>,
    /// The number of the interface below it, as the card's below a VLAN. None if that is in another network namespace.
    pub below: Option<i32>,
    /// The XDP programs that are attached, by their numbers.
    pub programs: Vec<u32>,
    /// Whether one of them runs in the driver.
    pub native: bool,
}

impl Links {
    /// A socket to ask with.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            flags,
            SockProtocol::NetlinkRoute,
        )?;
        Ok(Self {
            socket,
            inbox: vec![0; INBOX].into_boxed_slice(),
        })
    }

    /// The interface that has this name now.
    pub fn named(&mut self, name: &str) -> io::Result<Option<Link>> {
        self.get(0, Some(name))
    }

    /// The interface with this number.
    pub fn numbered(&mut self, index: i32) -> io::Result<Option<Link>> {
        self.get(index, None)
    }

    /// All interfaces.
    pub fn all(&mut self) -> io::Result<Vec<Link>> {
        // If one comes or goes meanwhile, the kernel says that the list is no good.
        for _ in 0..DUMPS {
            if let Some(links) = self.dump()? {
                return Ok(links);
            }
        }
        Err(io::Error::other("network interfaces come and go all the time"))
    }

    fn dump(&mut self) -> io::Result<Option<Vec<Link>>> {
        self.ask(0, None, NLM_F_REQUEST | NLM_F_DUMP)?;
        let (mut links, mut whole, mut done) = (Vec::new(), true, false);
        while !done {
            let length = retry(|| recv(self.socket.as_raw_fd(), &mut self.inbox, MsgFlags::empty()))?;
            let mut failed = None;
            answers(
                self.inbox.get(..length).unwrap_or_default(),
                &mut |answer: &Answer<'_>| {
                    whole &= answer.flags & NLM_F_DUMP_INTR == 0;
                    match answer.kind {
                        NEW_LINK => links.extend(read_link(answer.payload)),
                        NLMSG_DONE => done = true,
                        NLMSG_ERROR => failed = Some(answer.errno().unwrap_or(Errno::ENODATA)),
                        _ => {}
                    }
                },
            );
            if let Some(errno) = failed {
                return Err(errno.into());
            }
        }
        Ok(whole.then_some(links))
    }

    fn get(&mut self, index: i32, name: Option<&str>) -> io::Result<Option<Link>> {
        self.ask(index, name, NLM_F_REQUEST)?;
        let socket = self.socket.as_raw_fd();
        // The kernel has queued its answer before `send` returned.
        let length = retry(|| recv(socket, &mut self.inbox, MsgFlags::MSG_DONTWAIT))?;
        let mut outcome = Err(Errno::ENODATA);
        answers(
            self.inbox.get(..length).unwrap_or_default(),
            &mut |answer: &Answer<'_>| match answer.kind {
                NEW_LINK => outcome = Ok(read_link(answer.payload)),
                NLMSG_ERROR => outcome = Err(answer.errno().unwrap_or(Errno::ENODATA)),
                _ => {}
            },
        );
        match outcome {
            Err(Errno::ENODEV) => Ok(None),
            outcome => Ok(outcome?),
        }
    }

    fn ask(&self, index: i32, name: Option<&str>, flags: u16) -> io::Result<()> {
        let mut request = Vec::new();
        request.extend_from_slice(Nlmsghdr::new().as_slice());
        let mut info = Ifinfomsg::new();
        info.ifi_index = index;
        request.extend_from_slice(info.as_slice());
        let attributes = PushLinkAttrs::new(&mut request).push_ext_mask(SKIP_STATS);
        if let Some(name) = name {
            drop(attributes.push_ifname_bytes(name.as_bytes()));
        } else {
            drop(attributes);
        }
        request.resize(request.len().next_multiple_of(4), 0);
        let mut header = Nlmsghdr::new();
        header.len = u32::try_from(request.len()).unwrap_or(u32::MAX);
        header.r#type = GET_LINK;
        header.flags = flags;
        if let Some(place) = request.get_mut(..Nlmsghdr::len()) {
            place.copy_from_slice(header.as_slice());
        }
        retry(|| send(self.socket.as_raw_fd(), &request, MsgFlags::empty()))?;
        Ok(())
    }
}

/// What an `RTM_NEWLINK` says.
pub(crate) fn read_link(payload: &[u8]) -> Option<Link> {
    let (info, attributes) = payload.split_at_checked(Ifinfomsg::len())?;
    let info = Ifinfomsg::new_from_slice(info)?;
    let mut link = Link {
        index: info.ifi_index,
        hardware: info.ifi_type,
        up: info.ifi_flags & UP != 0,
        ..Link::default()
    };
    let mut elsewhere = false;
    for attribute in LinkAttrs::new(attributes).flatten() {
        match attribute {
            LinkAttrs::Ifname(name) => link.name = name.to_string_lossy().into_owned(),
            LinkAttrs::Master(number) => link.master = Some(number.cast_signed()),
            LinkAttrs::Link(number) => link.below = Some(number.cast_signed()),
            LinkAttrs::LinkNetnsid(_) => elsewhere = true,
            LinkAttrs::Linkinfo(about) => {
                if let Ok(kind) = about.get_kind() {
                    link.kind = kind.to_string_lossy().into_owned();
                }
            }
            LinkAttrs::Xdp(xdp) => {
                for program in xdp.flatten() {
                    link.native |= matches!(program, XdpAttrs::DrvProgId(_));
                    if let XdpAttrs::ProgId(id) | XdpAttrs::DrvProgId(id) | XdpAttrs::SkbProgId(id) = program
                    {
                        link.programs.push(id);
                    }
                }
            }
            _ => {}
        }
    }
    link.is_l3s = link.kind == "ipvlan" && ipvlan_mode(attributes) == Some(L3S);
    // Some interfaces are said to be below themselves.
    link.below = link
        .below
        .filter(|below| !elsewhere && *below > 0 && *below != link.index);
    Some(link)
}

/// The mode of an ipvlan, which the library does not know.
fn ipvlan_mode(attributes: &[u8]) -> Option<u16> {
    let data = attribute(attribute(attributes, LINKINFO)?, INFO_DATA)?;
    let mode = attribute(data, IPVLAN_MODE)?.first_chunk()?;
    Some(u16::from_ne_bytes(*mode))
}

/// The payload of the first attribute of this type.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (head, _) = attributes.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let payload = attributes.get(4..length)?;
        if u16::from_ne_bytes([head[2], head[3]]) & TYPE == wanted {
            return Some(payload);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::Links;

    #[test]
    fn interfaces_are_found_by_name_and_number() {
        let mut links = Links::open().unwrap();
        let loopback = links.named("lo").unwrap().unwrap();
        assert_eq!(loopback.name, "lo");
        assert_eq!(links.numbered(loopback.index).unwrap(), Some(loopback));
        assert_eq!(links.named("nobody0").unwrap(), None);
        let all = links.all().unwrap();
        assert!(all.iter().any(|link| link.name == "lo"), "{all:?}");
    }
}
