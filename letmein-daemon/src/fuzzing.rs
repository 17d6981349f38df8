//! Entrances for the fuzz targets, to what reads bytes and is nobody else's business.

use crate::netlink::{Answer, answers, read_link};

pub use crate::firewall::fuzzing::{lease_set, leases, notifications, shape};

/// Reads each message of a datagram as what the kernel says of an interface.
pub fn links(datagram: &[u8]) {
    answers(datagram, &mut |answer: &Answer<'_>| {
        let _link = (read_link(answer.payload), answer.errno());
    });
}
