//! Where the lab's client and server are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const CONTROL_PORT: u16 = 5800;
pub const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
pub const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0xFD77, 1, 0, 0, 0, 0, 0, 2);
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0xFD77, 1, 0, 0, 0, 0, 0, 1);

/// The address family of a knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    pub const fn client(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(CLIENT_V4),
            Self::V6 => IpAddr::V6(CLIENT_V6),
        }
    }

    pub const fn server(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(SERVER_V4),
            Self::V6 => IpAddr::V6(SERVER_V6),
        }
    }
}
