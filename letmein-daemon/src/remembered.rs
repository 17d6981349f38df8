//! Very many leases, from one run to the next: which they are, so that each can be asked for.
//!
//! The kernel's sets are the record, and where they are small they are simply read. To read a large one takes the
//! square of its size, a minute for a million leases, and nobody's knock is answered meanwhile. So a daemon that is
//! stopped leaves the keys of its leases in a file, and the next one asks the kernel for each: what is not there is
//! no lease, whatever the file says. After a crash there is no file.

use crate::firewall::{LeaseKey, Protocol, Target};
use letmein_common::ResourceId;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::{IpAddr, Ipv6Addr},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};
use tracing::warn;

/// From this many on: fewer are read in a fraction of a second.
pub const MANY: usize = 65_536;
/// Address (IPv4 in its mapped form), what the lease is for, protocol, port, and resource, in network byte order.
const LENGTH: usize = 24;
/// What it can be for.
const PORT: u8 = 0;
const JUMP: u8 = 1;
const JUMP_FOR_ALL: u8 = 2;
/// No file of ours is longer.
const LONGEST: u64 = (LENGTH as u64) << 23;

/// Leaves the keys, if they are many. What cannot be written costs the next start some time, and nothing else.
pub fn leave(file: &Path, keys: &[LeaseKey]) {
    if keys.len() >= MANY
        && let Err(error) = write(file, keys)
    {
        warn!(
            "cannot write {}, so the next start will take longer: {error}",
            file.display()
        );
    }
}

fn write(file: &Path, keys: &[LeaseKey]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(keys.len() * LENGTH);
    for key in keys {
        let address = match key.address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        bytes.extend_from_slice(&address.octets());
        let (kind, protocol, port, resource) = match key.target {
            Target::Port(protocol, port) => (PORT, protocol.number(), port, 0),
            Target::Jump(resource) => (JUMP, 0, 0, resource.0),
            Target::JumpForAll(resource) => (JUMP_FOR_ALL, 0, 0, resource.0),
        };
        bytes.extend_from_slice(&[kind, protocol]);
        bytes.extend_from_slice(&port.to_be_bytes());
        bytes.extend_from_slice(&resource.to_be_bytes());
    }
    // Whoever is cut off here leaves no file that looks whole.
    let unfinished = file.with_extension("new");
    let mut options = OpenOptions::new();
    let mut output = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    output.write_all(&bytes)?;
    fs::rename(unfinished, file)
}

/// The keys that an earlier run has left, once.
#[must_use]
pub fn take(file: &Path) -> Option<Vec<LeaseKey>> {
    let length = fs::metadata(file).ok()?.len();
    let bytes = (length <= LONGEST).then(|| fs::read(file).ok()).flatten();
    fs::remove_file(file).ok()?;
    let (keys, rest) = bytes.as_ref()?.as_chunks::<LENGTH>();
    let keys = rest
        .is_empty()
        .then(|| keys.iter().map(read).collect::<Option<Vec<_>>>());
    keys.flatten()
}

fn read(bytes: &[u8; LENGTH]) -> Option<LeaseKey> {
    let (address, rest) = bytes.split_first_chunk::<16>()?;
    let &[kind, protocol, high, low, a, b, c, d] = rest else {
        return None;
    };
    let address = IpAddr::V6(Ipv6Addr::from(*address)).to_canonical();
    let resource = ResourceId(u32::from_be_bytes([a, b, c, d]));
    let target = match kind {
        PORT => Target::Port(Protocol::from_number(protocol)?, u16::from_be_bytes([high, low])),
        JUMP => Target::Jump(resource),
        JUMP_FOR_ALL => Target::JumpForAll(resource),
        _ => return None,
    };
    Some(LeaseKey { address, target })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: usize) -> Vec<LeaseKey> {
        let key = |number| LeaseKey::new(Ipv6Addr::from_bits(number).into(), Protocol::Udp, 51820);
        let four = LeaseKey::new([192, 0, 2, 1].into(), Protocol::Tcp, 22);
        (1_u128 << 100..).map(key).take(count - 1).chain([four]).collect()
    }

    #[test]
    fn many_come_back_once() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("leases");
        let keys = keys(MANY);
        leave(&file, &keys);
        assert_eq!(take(&file), Some(keys));
        assert_eq!(take(&file), None);
    }

    #[test]
    fn few_are_left_to_the_kernel() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("leases");
        leave(&file, &keys(MANY - 1));
        assert!(!file.exists());
    }

    #[test]
    fn a_file_that_is_not_whole_is_not_believed() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("leases");
        for bytes in [&[6; LENGTH + 1][..], &[99; LENGTH]] {
            fs::write(&file, bytes).unwrap();
            assert_eq!(take(&file), None);
            assert!(!file.exists());
        }
    }
}
