//! Transactions with `nf_tables` over netlink.
//!
//! The kernel works through a request inside `send` and queues every answer before it returns, so this never
//! waits: it reads until there is nothing left. `netlink-socket2` is not used here: in 0.3.5 it takes a batch
//! of 64 messages for answered before it is, and waits without limit for an answer that does not come.

use std::os::fd::{AsRawFd, OwnedFd};

use netlink_bindings::nftables::Nfgenmsg;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname, recv, send,
    setsockopt, socket,
};

use crate::netlink::retry;

use super::message::{
    Answer, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES, NFPROTO_INET, NLM_F_ACK,
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, Request, answers, append,
    append_for, set_flags,
};

/// The largest transaction, in bytes as the kernel accounts for them: some ten thousand leases.
const OUTBOX: usize = 4 * 1024 * 1024;
/// Room for the answers to some hundred questions, each of which takes a page and more.
const ANSWERS: usize = 8 * 1024 * 1024;
/// The largest datagram that the kernel makes of a dump.
const INBOX: usize = 32 * 1024;

/// Why the kernel did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub errno: Errno,
    /// Which message of the transaction, counted from 0; none if it was not one of them.
    pub message: Option<usize>,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno, message: None }
    }
}

/// A socket to the `nf_tables` of the network namespace that the thread was in when it was made.
pub(super) struct Transport {
    socket: OwnedFd,
    sequence: u32,
    outbox: Vec<u8>,
    inbox: Box<[u8]>,
}

/// The messages of a transaction that is being written.
pub(super) struct Transaction<'t> {
    outbox: &'t mut Vec<u8>,
    sequence: u32,
    last: Option<usize>,
}

impl Transaction<'_> {
    /// Appends one message, whose attributes `attributes` writes.
    pub(super) fn push(&mut self, request: Request, attributes: impl FnOnce(&mut Vec<u8>)) {
        self.sequence = self.sequence.wrapping_add(1);
        self.last = Some(self.outbox.len());
        append(self.outbox, request.kind(), 0, self.sequence, 0, attributes);
    }
}

impl Transport {
    pub(super) fn open() -> Result<Self, Errno> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        )?;
        // The kernel chooses the address: now, so that it is known before the first transaction.
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // Whoever is refused this is refused the transactions too, and hears it then.
        let _refused = setsockopt(&socket, SndBufForce, &OUTBOX);
        let _refused = setsockopt(&socket, RcvBufForce, &ANSWERS);
        Ok(Self {
            socket,
            sequence: 0,
            outbox: Vec::new(),
            inbox: vec![0; INBOX].into_boxed_slice(),
        })
    }

    /// Its address: what the kernel tells others of our transactions bears it.
    pub(super) fn port(&self) -> Result<u32, Errno> {
        getsockname::<NetlinkAddr>(self.socket.as_raw_fd()).map(|address| address.pid())
    }

    /// All the messages that `write` pushes, or none of them.
    pub(super) fn transact(&mut self, write: impl FnOnce(&mut Transaction<'_>)) -> Result<(), Refusal> {
        let begin = self.sequence.wrapping_add(1);
        self.outbox.clear();
        append(
            &mut self.outbox,
            NFNL_MSG_BATCH_BEGIN,
            0,
            begin,
            NFNL_SUBSYS_NFTABLES,
            |_| (),
        );
        let mut transaction = Transaction {
            outbox: &mut self.outbox,
            sequence: begin,
            last: None,
        };
        write(&mut transaction);
        let Transaction {
            sequence: last,
            last: Some(last_start),
            ..
        } = transaction
        else {
            return Ok(());
        };
        // Errors are always answered; one acknowledgement, of the last message, tells that the kernel got to
        // the end.
        set_flags(&mut self.outbox, last_start, NLM_F_REQUEST | NLM_F_ACK);
        self.sequence = last.wrapping_add(1);
        append(
            &mut self.outbox,
            NFNL_MSG_BATCH_END,
            0,
            self.sequence,
            NFNL_SUBSYS_NFTABLES,
            |_| (),
        );

        let mut acknowledged = false;
        let mut refusal = None;
        self.exchange(|answer| {
            let index = answer.sequence.wrapping_sub(begin);
            if answer.kind != NLMSG_ERROR || index > last.wrapping_sub(begin) {
                return;
            }
            match answer.errno() {
                None => acknowledged = true,
                // The first one is the cause; what follows may be its consequence.
                Some(errno) => {
                    refusal.get_or_insert(Refusal {
                        errno,
                        message: index.checked_sub(1).and_then(|index| usize::try_from(index).ok()),
                    });
                }
            }
        })?;
        match refusal {
            Some(refusal) => Err(refusal),
            None if acknowledged => Ok(()),
            None => Err(Errno::ENODATA.into()),
        }
    }

    /// Asks many questions at once, each of which has one answer. Hands the attributes of those that are no error to
    /// `each`; what does not exist is no error either.
    pub(super) fn ask(
        &mut self,
        write: impl FnOnce(&mut Transaction<'_>),
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Errno> {
        self.outbox.clear();
        let begin = self.sequence;
        let mut questions = Transaction {
            outbox: &mut self.outbox,
            sequence: begin,
            last: None,
        };
        write(&mut questions);
        self.sequence = questions.sequence;
        let mut missing = self.sequence.wrapping_sub(begin);
        if missing == 0 {
            return Ok(());
        }
        let mut outcome = Ok(());
        self.exchange(|answer| {
            missing = missing.saturating_sub(1);
            match (answer.kind, answer.errno()) {
                (NLMSG_ERROR, None | Some(Errno::ENOENT)) => {}
                (NLMSG_ERROR, Some(errno)) => outcome = Err(errno),
                _ => each(answer.payload.get(Nfgenmsg::len()..).unwrap_or_default()),
            }
        })?;
        // An answer that got lost must not look like a lease that is not there.
        if missing > 0 { Err(Errno::ENOBUFS) } else { outcome }
    }

    /// Hands the attributes of each answer of a dump to `each`. `EINTR` says that the rules changed
    /// meanwhile.
    pub(super) fn dump(
        &mut self,
        request: Request,
        attributes: impl FnOnce(&mut Vec<u8>),
        each: impl FnMut(&[u8]),
    ) -> Result<(), Errno> {
        self.dump_of(request.kind(), NFPROTO_INET, attributes, each)
    }

    /// The same of any subsystem of netfilter.
    pub(super) fn dump_of(
        &mut self,
        kind: u16,
        family: u8,
        attributes: impl FnOnce(&mut Vec<u8>),
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Errno> {
        let sequence = self.write(kind, NLM_F_DUMP, family, attributes);
        let mut outcome = Err(Errno::ENODATA);
        let mut interrupted = false;
        self.exchange(|answer| {
            if answer.sequence != sequence {
                return;
            }
            interrupted |= answer.flags & NLM_F_DUMP_INTR != 0;
            match answer.kind {
                NLMSG_DONE | NLMSG_ERROR => outcome = answer.errno().map_or(Ok(()), Err),
                _ => each(answer.payload.get(Nfgenmsg::len()..).unwrap_or_default()),
            }
        })?;
        if interrupted { Err(Errno::EINTR) } else { outcome }
    }

    /// A single request that is not part of a transaction.
    pub(super) fn request(
        &mut self,
        kind: u16,
        family: u8,
        attributes: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Errno> {
        let sequence = self.write(kind, NLM_F_ACK, family, attributes);
        let mut outcome = Err(Errno::ENODATA);
        self.exchange(|answer| {
            if answer.sequence == sequence && answer.kind == NLMSG_ERROR {
                outcome = answer.errno().map_or(Ok(()), Err);
            }
        })?;
        outcome
    }

    /// Makes a message all of the outbox, and returns its number.
    fn write(&mut self, kind: u16, flags: u16, family: u8, attributes: impl FnOnce(&mut Vec<u8>)) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.outbox.clear();
        append_for(
            &mut self.outbox,
            kind,
            flags,
            self.sequence,
            (family, 0),
            attributes,
        );
        self.sequence
    }

    /// Sends the outbox and reads all there is to read.
    fn exchange(&mut self, mut each: impl FnMut(&Answer<'_>)) -> Result<(), Errno> {
        let socket = self.socket.as_raw_fd();
        let sent = retry(|| send(socket, &self.outbox, MsgFlags::empty()))?;
        if sent != self.outbox.len() {
            return Err(Errno::EMSGSIZE);
        }
        loop {
            match retry(|| recv(socket, &mut self.inbox, MsgFlags::MSG_DONTWAIT)) {
                Ok(length) => answers(self.inbox.get(..length).unwrap_or_default(), &mut each),
                Err(Errno::EAGAIN) => return Ok(()),
                // More was refused than the queue holds. What counts is the first refusal, and that is in it.
                Err(Errno::ENOBUFS) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_of_nothing_is_not_sent() {
        let mut transport = Transport::open().unwrap();
        assert_eq!(transport.transact(|_| ()), Ok(()));
        assert_eq!(transport.sequence, 0);
    }
}
