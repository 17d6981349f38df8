//! Who is at the other end of a Unix socket.

use nix::{
    errno::Errno,
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::{Gid, Uid},
};
use std::os::fd::{AsFd, AsRawFd as _};

/// The kernel's limit is 65536; who is in more than these is asked to be root.
const MOST_GROUPS: usize = 1024;

/// Who connected, as the kernel noted it at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The user.
    pub user: Uid,
    groups: Vec<Gid>,
}

impl Peer {
    /// Asks the kernel.
    pub fn of<F: AsFd>(socket: &F) -> nix::Result<Self> {
        let credentials = getsockopt(socket, PeerCredentials)?;
        let mut groups = supplementary(socket)?;
        groups.push(Gid::from_raw(credentials.gid()));
        Ok(Self {
            user: Uid::from_raw(credentials.uid()),
            groups,
        })
    }

    /// Whether this is root, the user that letmeind runs as, or somebody in that group.
    #[must_use]
    pub fn may_operate(&self, group: Option<Gid>) -> bool {
        self.user.is_root()
            || self.user == Uid::effective()
            || group.is_some_and(|group| self.groups.contains(&group))
    }
}

/// `SO_PEERGROUPS` of `socket(7)`.
#[expect(unsafe_code, reason = "a socket option that no crate offers")]
fn supplementary<F: AsFd>(socket: &F) -> nix::Result<Vec<Gid>> {
    let mut groups: Vec<libc::gid_t> = vec![0; MOST_GROUPS];
    let mut length =
        libc::socklen_t::try_from(size_of_val(groups.as_slice())).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of the allocation, and then says how many.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    match Errno::result(outcome) {
        Ok(_) => groups.truncate(length as usize / size_of::<libc::gid_t>()),
        Err(Errno::ERANGE) => groups.clear(),
        Err(error) => return Err(error),
    }
    Ok(groups.into_iter().map(Gid::from_raw).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn we_are_who_we_are() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of(&one).unwrap();
        assert_eq!(peer.user, Uid::effective());
        assert!(peer.may_operate(None));
    }

    #[test]
    fn a_stranger_needs_the_group() {
        let stranger = Peer {
            user: Uid::from_raw(4711),
            groups: vec![Gid::from_raw(4711), Gid::from_raw(12)],
        };
        assert!(!stranger.may_operate(None));
        assert!(!stranger.may_operate(Some(Gid::from_raw(13))));
        assert!(stranger.may_operate(Some(Gid::from_raw(12))));
    }
}
