//! Raw Ethernet frames on one interface of a host: sent as they are, and seen as its kernel gets them.

use crate::{frames::Mac, lab::Host};
use anyhow::{Context as _, bail};
use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    libc::PACKET_OUTGOING,
    sys::{
        socket::{
            AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType, bind,
            recvfrom, send, sendmmsg, setsockopt, socket, sockopt,
        },
        time::{TimeVal, TimeValLike as _},
    },
};
use std::{
    io::IoSlice,
    os::fd::{AsRawFd as _, OwnedFd},
    time::Instant,
};

/// A frame of a test and its overhead is a page or two: room for a thousand of them.
const RECEIVE_BUFFER: usize = 16 << 20;
/// Longer than any frame.
const FRAME: usize = 1 << 16;
/// Frames for one system call. A veth pair holds 256.
const AT_ONCE: usize = 64;

/// A packet socket on one interface.
///
/// It sees what comes out of native XDP and of generic XDP, never what they drop. The kernel takes an outer
/// VLAN tag off before (see [`crate::frames::as_tapped`]).
pub struct Tap {
    socket: OwnedFd,
    address: Mac,
    buffer: Vec<u8>,
}

impl Tap {
    /// Opens it. All frames from now on are kept until they are asked for.
    pub fn open(host: &Host, interface: &str) -> anyhow::Result<Self> {
        host.enter(|| {
            let link = link(interface)?;
            let socket = socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::EthAll,
            )?;
            setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER)?;
            bind(socket.as_raw_fd(), &link)?;
            Ok(Self {
                socket,
                address: link.addr().context("an interface without an address")?,
                buffer: vec![0; FRAME],
            })
        })?
    }

    /// The interface's own address.
    #[must_use]
    pub const fn address(&self) -> Mac {
        self.address
    }

    /// Sends one frame as it is.
    pub fn send(&self, frame: &[u8]) -> anyhow::Result<()> {
        let sent = send(self.socket.as_raw_fd(), frame, MsgFlags::empty())
            .with_context(|| format!("a frame of {} bytes", frame.len()))?;
        if sent != frame.len() {
            bail!("{sent} of {} bytes of a frame were sent", frame.len());
        }
        Ok(())
    }

    /// Sends very many frames as they are, as fast as this thread can.
    pub fn send_all(&self, frames: &[Vec<u8>]) -> anyhow::Result<()> {
        for batch in frames.chunks(AT_ONCE) {
            let mut left: Vec<_> = batch.iter().map(|frame| [IoSlice::new(frame)]).collect();
            while !left.is_empty() {
                let mut headers = MultiHeaders::<LinkAddr>::preallocate(left.len(), None);
                let addresses = vec![None; left.len()];
                let descriptor = self.socket.as_raw_fd();
                let sent = sendmmsg(descriptor, &mut headers, &left, addresses, [], MsgFlags::empty());
                let sent = match sent {
                    Ok(sent) => sent.count(),
                    // The interface's queue is full for the moment.
                    Err(Errno::ENOBUFS | Errno::EINTR) => 0,
                    Err(error) => return Err(error).context("frames"),
                };
                left.drain(..sent);
            }
        }
        Ok(())
    }

    /// The next frame that the interface received; `None` if there is none before the deadline.
    pub fn receive(&mut self, deadline: Instant) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Zero would mean for ever.
            let left = TimeVal::milliseconds(i64::try_from(left.as_millis())?.max(1));
            setsockopt(&self.socket, sockopt::ReceiveTimeout, &left)?;
            match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut self.buffer) {
                Ok((_, Some(link))) if link.pkttype() == PACKET_OUTGOING => {}
                Ok((length, _)) => return Ok(Some(self.buffer[..length].to_vec())),
                Err(Errno::EAGAIN) if Instant::now() >= deadline => return Ok(None),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn link(interface: &str) -> anyhow::Result<LinkAddr> {
    getifaddrs()?
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .with_context(|| format!("there is no interface {interface}"))
}
