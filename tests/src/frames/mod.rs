//! Frames made by hand. Everything is right unless a test wants it wrong.

mod checksum;
mod ethernet;
mod ip;
mod tcp;
mod udp;

pub use checksum::checksum;
pub use ethernet::{CUSTOMER, ETHERNET_LEN, IPV4, IPV6, Link, Mac, OLD_PROVIDER, PROVIDER, Tag, as_tapped};
pub use ip::{Extension, Ipv4, Ipv6};
pub use tcp::{Segment, TCP, tcp};
pub use udp::{UDP, udp, udp_of_length};
