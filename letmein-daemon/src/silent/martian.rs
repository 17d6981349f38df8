//! Whether the kernel would have delivered a silent knock. It never got to see the packet, for the XDP program takes a knock
//! off the wire, so it is asked about the addresses.

use crate::netlink::{Routes, Whose};
use letmein_common::maps::SilentKnock;
use std::{io, net::IpAddr};
use thiserror::Error;

/// Why the kernel would not have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Martian {
    /// It cannot have come from a network.
    #[error("it comes from {0}, which is an address of this machine or of a whole network")]
    Source(IpAddr),
    /// It was sent to somebody else, or to many.
    #[error("it was sent to {0}, which is no address of this machine")]
    Destination(IpAddr),
}

/// Looks at where a knock comes from and where it was sent to.
pub fn check(routes: &Routes, knock: &SilentKnock) -> io::Result<Result<(), Martian>> {
    let source = IpAddr::from(knock.source);
    if knock.source.is_martian() || routes.whose(source)? != Whose::Other {
        return Ok(Err(Martian::Source(source)));
    }
    let destination = IpAddr::from(knock.destination);
    if knock.destination.bytes() == [0; 16] {
        // A socket has received it.
        return Ok(Ok(()));
    }
    let is_ours = match routes.whose(destination)? {
        Whose::Ours => true,
        Whose::Group => false,
        // In a table that is not everybody's.
        Whose::Other => routes.is_assigned(destination)?,
    };
    Ok(is_ours.then_some(()).ok_or(Martian::Destination(destination)))
}
