//! A socket that hears what the kernel tells everybody.

use super::retry;
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
        socket, sockopt::RcvBufForce,
    },
};
use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};
use tokio::io::{Interest, unix::AsyncFd};

/// What may wait to be read, in bytes as the kernel accounts for them. More is lost, which the kernel then says.
const WAITING: usize = 16 * 1024 * 1024;
/// The largest datagram of notifications.
const INBOX: usize = 64 * 1024;

/// Notifications of one multicast group, in the order in which the kernel sent them.
pub struct Listener {
    socket: AsyncFd<OwnedFd>,
    inbox: Box<[u8]>,
}

impl Listener {
    /// Listens to a group, in the network namespace of this thread, from now on. Needs a runtime.
    #[expect(unsafe_code, reason = "tokio takes a descriptor only as a promise")]
    pub fn open(protocol: SockProtocol, group: u32) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        // Who is refused this has less room, and hears of it when that was not enough.
        let _refused = setsockopt(&socket, RcvBufForce, &WAITING);
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 1 << (group - 1)))?;
        // SAFETY: the socket owns its descriptor, always gives the same one, and keeps it open until it is dropped,
        // after tokio has let go of it.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
        Ok(Self {
            socket,
            inbox: vec![0; INBOX].into_boxed_slice(),
        })
    }

    /// Waits until there is something, all of which has to be [`read`](Self::read) then.
    pub async fn ready(&self) -> io::Result<()> {
        self.socket.readable().await?.clear_ready();
        Ok(())
    }

    /// Hands on each datagram that waits, and `None` for those that were lost. Returns when nothing is left.
    pub fn read(&mut self, mut each: impl FnMut(Option<&[u8]>)) -> io::Result<()> {
        let socket = self.socket.get_ref().as_raw_fd();
        loop {
            match retry(|| recv(socket, &mut self.inbox, MsgFlags::empty())) {
                Ok(length) => each(self.inbox.get(..length)),
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::ENOBUFS) => each(None),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
