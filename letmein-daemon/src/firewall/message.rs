//! Netlink messages, as bytes.

use netlink_bindings::builtin::Nlmsghdr;
use netlink_bindings::nftables::Nfgenmsg;

pub(super) use crate::netlink::{
    Answer, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, answers,
};

// linux/netfilter/nfnetlink.h
pub(super) const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
pub(super) const NFNL_MSG_BATCH_END: u16 = 0x11;
pub(super) const NFNL_SUBSYS_NFTABLES: u16 = 10;
// linux/netfilter.h
pub(super) const NFPROTO_INET: u8 = 1;

/// What is asked (the kernel's `linux/netfilter/nf_tables.h`): about elements of a set, if nothing else is said.
#[derive(Clone, Copy)]
pub(super) enum Request {
    New,
    Get,
    Delete,
    GetTables,
    GetChains,
    GetRules,
    GetSets,
}

impl Request {
    pub(super) const fn kind(self) -> u16 {
        (NFNL_SUBSYS_NFTABLES << 8)
            | match self {
                Self::New => 12,
                Self::Get => 13,
                Self::Delete => 14,
                Self::GetTables => 1,
                Self::GetChains => 4,
                Self::GetRules => 7,
                Self::GetSets => 10,
            }
    }
}

/// Appends a message to `nf_tables`: both headers, then what `attributes` writes.
pub(super) fn append(
    outbox: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    resource: u16,
    attributes: impl FnOnce(&mut Vec<u8>),
) {
    let family = if resource == 0 { NFPROTO_INET } else { 0 };
    append_for(outbox, kind, flags, sequence, (family, resource), attributes);
}

/// The same for any subsystem of netfilter, with the address family and resource that it wants.
pub(super) fn append_for(
    outbox: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    (family, resource): (u8, u16),
    attributes: impl FnOnce(&mut Vec<u8>),
) {
    let start = outbox.len();
    let mut header = Nlmsghdr::new();
    header.r#type = kind;
    header.flags = NLM_F_REQUEST | flags;
    header.seq = sequence;
    outbox.extend_from_slice(header.as_slice());
    let mut netfilter = Nfgenmsg::new();
    netfilter.nfgen_family = family;
    netfilter.set_res_id(resource);
    outbox.extend_from_slice(netfilter.as_slice());
    attributes(outbox);
    outbox.resize(outbox.len().next_multiple_of(4), 0);
    // A message is a few hundred bytes at most.
    let length = u32::try_from(outbox.len() - start).unwrap_or(u32::MAX);
    if let Some(field) = outbox.get_mut(start..start + 4) {
        field.copy_from_slice(&length.to_ne_bytes());
    }
}

/// Rewrites the flags of the message at `start`: 16 bits at byte 6 of its header.
pub(super) fn set_flags(outbox: &mut [u8], start: usize, flags: u16) {
    if let Some(field) = outbox.get_mut(start + 6..start + 8) {
        field.copy_from_slice(&flags.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    /// Each message of a datagram as (kind, sequence, errno).
    fn cut(datagram: &[u8]) -> Vec<(u16, u32, Option<Errno>)> {
        let mut seen = Vec::new();
        answers(datagram, &mut |answer: &Answer<'_>| {
            seen.push((answer.kind, answer.sequence, answer.errno()));
        });
        seen
    }

    fn error(sequence: u32, code: i32) -> Vec<u8> {
        let mut datagram = Vec::new();
        append(&mut datagram, NLMSG_ERROR, 0, sequence, 0, |outbox| {
            outbox.resize(outbox.len() + 16, 0);
        });
        datagram[16..20].copy_from_slice(&code.to_ne_bytes());
        datagram
    }

    #[test]
    fn answers_are_told_apart() {
        let datagram = [error(7, 0), error(8, -(Errno::ENFILE as i32))].concat();
        assert_eq!(
            cut(&datagram),
            [(NLMSG_ERROR, 7, None), (NLMSG_ERROR, 8, Some(Errno::ENFILE))]
        );
    }

    #[test]
    fn a_cut_off_or_nonsensical_answer_is_no_success() {
        let whole = error(7, 0);
        for length in 0..20 {
            assert!(
                cut(&whole[..length]).iter().all(|(_, _, errno)| errno.is_some()),
                "{length}"
            );
        }
        let mut lying = whole;
        lying[..4].copy_from_slice(&3_u32.to_ne_bytes());
        assert!(cut(&lying).is_empty());
    }
}
