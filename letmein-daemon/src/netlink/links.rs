//! What the kernel says of one network interface.

use super::{Answer, NLM_F_REQUEST, NLMSG_ERROR, answers, retry};
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

    fn get(&mut self, index: i32, name: Option<&str>) -> io::Result<Option<Link>> {
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
        header.flags = NLM_F_REQUEST;
        if let Some(place) = request.get_mut(..Nlmsghdr::len()) {
            place.copy_from_slice(header.as_slice());
        }

        let socket = self.socket.as_raw_fd();
        retry(|| send(socket, &request, MsgFlags::empty()))?;
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
}

/// What an `RTM_NEWLINK` says.
pub(crate) fn read_link(payload: &[u8]) -> Option<Link> {
    let (info, attributes) = payload.split_at_checked(Ifinfomsg::len())?;
    let mut link = Link {
        index: Ifinfomsg::new_from_slice(info)?.ifi_index,
        ..Link::default()
    };
    for attribute in LinkAttrs::new(attributes).flatten() {
        match attribute {
            LinkAttrs::Ifname(name) => link.name = name.to_string_lossy().into_owned(),
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
    Some(link)
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
    }
}
