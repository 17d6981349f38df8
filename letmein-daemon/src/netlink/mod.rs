//! Netlink, as far as nftables and network interfaces have it in common: messages as bytes, and notifications.

mod links;
mod listener;
mod routes;

pub(crate) use links::read_link;
pub use links::{Link, Links};
pub use listener::Listener;
pub use routes::{Routes, Whose};

use netlink_bindings::builtin::Nlmsghdr;
use nix::errno::Errno;

// linux/netlink.h
pub(crate) const NLMSG_ERROR: u16 = 2;
pub(crate) const NLMSG_DONE: u16 = 3;
pub(crate) const NLM_F_REQUEST: u16 = 0x001;
pub(crate) const NLM_F_ACK: u16 = 0x004;
pub(crate) const NLM_F_DUMP_INTR: u16 = 0x010;
pub(crate) const NLM_F_DUMP: u16 = 0x300;

/// One message from the kernel.
pub(crate) struct Answer<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    /// The port of the socket whose request it answers, or, in a notification, has caused it.
    pub port: u32,
    pub payload: &'a [u8],
}

impl Answer<'_> {
    /// The error that an `NLMSG_ERROR` or `NLMSG_DONE` carries: a negated errno, 0 for none.
    pub(crate) fn errno(&self) -> Option<Errno> {
        let code = self
            .payload
            .first_chunk()
            .copied()
            .map_or(-(Errno::EBADMSG as i32), i32::from_ne_bytes);
        (code != 0).then(|| Errno::from_raw(code.wrapping_neg()))
    }
}

/// Cuts a datagram into its messages. An error echoes the request, which may be cut off at the end of the
/// inbox.
pub(crate) fn answers(mut datagram: &[u8], each: &mut impl FnMut(&Answer<'_>)) {
    while let Some(header) = datagram.get(..Nlmsghdr::len()).and_then(Nlmsghdr::new_from_slice) {
        let length = usize::try_from(header.len)
            .unwrap_or(usize::MAX)
            .min(datagram.len());
        let Some(payload) = datagram.get(Nlmsghdr::len()..length) else {
            return;
        };
        each(&Answer {
            kind: header.r#type,
            flags: header.flags,
            sequence: header.seq,
            port: header.pid,
            payload,
        });
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// Makes the call again while a signal interrupts it.
pub(crate) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            outcome => return outcome,
        }
    }
}
