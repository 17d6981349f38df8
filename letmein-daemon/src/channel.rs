//! The connection between the two processes of `letmeind`: whole messages, some of them with a descriptor.

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg,
        socketpair,
    },
};
use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};
use tokio::{io::Interest, net::UnixDatagram};

/// One end of it: a socket of type `SOCK_SEQPACKET`, which tokio waits for as it does for datagrams.
pub struct Channel(UnixDatagram);

/// What has arrived.
pub struct Received {
    /// How much of the buffer is the message. Zero: the other end is gone.
    pub length: usize,
    /// What came beside it.
    pub descriptor: Option<OwnedFd>,
}

/// Both ends, which belong to no runtime yet.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

impl Channel {
    /// Needs a runtime.
    pub fn new(end: OwnedFd) -> io::Result<Self> {
        UnixDatagram::from_std(end.into()).map(Self)
    }

    /// Sends a message.
    pub async fn send(&self, message: &[u8]) -> io::Result<()> {
        self.send_with(message, None).await
    }

    /// Sends a message, and perhaps a descriptor beside it.
    pub async fn send_with(&self, message: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut beside = SendAncillaryBuffer::new(&mut space);
            let descriptors = descriptor.as_slice();
            if !descriptors.is_empty() {
                beside.push(SendAncillaryMessage::ScmRights(descriptors));
            }
            sendmsg(
                &self.0,
                &[IoSlice::new(message)],
                &mut beside,
                SendFlags::NOSIGNAL,
            )?;
            Ok(())
        };
        self.0.async_io(Interest::WRITABLE, send).await
    }

    /// Waits for a message. One that does not fit is an error.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        self.0
            .async_io(Interest::READABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut beside = RecvAncillaryBuffer::new(&mut space);
                receive(self.0.as_fd(), buffer, &mut beside)
            })
            .await
    }

    /// Waits for a message of who has no descriptors to give. One that comes with some is an error.
    pub async fn receive_bytes(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let receive = || receive(self.0.as_fd(), buffer, &mut RecvAncillaryBuffer::default());
        Ok(self.0.async_io(Interest::READABLE, receive).await?.length)
    }
}

fn receive(
    end: BorrowedFd<'_>,
    buffer: &mut [u8],
    beside: &mut RecvAncillaryBuffer<'_>,
) -> io::Result<Received> {
    let mut parts = [IoSliceMut::new(buffer)];
    let message = match recvmsg(end, &mut parts, beside, RecvFlags::CMSG_CLOEXEC) {
        // The other process has ended, with messages from here that it has not read.
        Err(Errno::CONNRESET) => {
            return Ok(Received {
                length: 0,
                descriptor: None,
            });
        }
        outcome => outcome?,
    };
    if message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::other("a message is too long"));
    }
    let descriptor = beside.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(Received {
        length: message.bytes,
        descriptor,
    })
}
