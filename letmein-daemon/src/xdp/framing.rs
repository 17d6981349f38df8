//! What the program sees of a packet first, which depends on the kind of the interface; and interfaces on which it would
//! see nothing.

use crate::netlink::Link;
use thiserror::Error;

/// What a packet begins with in XDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// An Ethernet header.
    Ethernet,
    /// The IP header.
    Ip,
    /// The header of the packet that carries it: the kernel leaves the MAC header there on GRE and SIT tunnels.
    Carried,
}

/// Why the program cannot work on an interface, and what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// `vrf`
    #[error("packets do not pass through a VRF, but through the interfaces in it: list those instead")]
    Vrf,
    /// `ifb`
    #[error("packets leave an ifb for the interface that they came in by: list that one instead")]
    Ifb,
    /// ipvlan in its third mode.
    #[error(
        "an ipvlan in mode l3s gets its packets behind XDP: list the interface below it instead, or make it with `mode l2`"
    )]
    IpvlanL3s,
    /// `dummy`, `nlmon` and the like.
    #[error("it never receives an IP packet: remove it from gate.interfaces")]
    ReceivesNothing,
    /// `xfrm`, `vti`
    #[error(
        "what XDP sees of decrypted packets depends on where they came from: remove it from gate.interfaces; \
         nftables keeps ports closed there, and challenge knocks are heard"
    )]
    Ipsec,
    /// A type of hardware that is neither Ethernet nor bare IP.
    #[error(
        "its packets (link type {0}) begin neither with an Ethernet header nor with an IP header: remove it from \
         gate.interfaces; nftables keeps ports closed there, and challenge knocks are heard"
    )]
    Unknown(u16),
}

// linux/if_arp.h
const ETHER: u16 = 1;
const PPP: u16 = 512;
const RAWIP: u16 = 519;
const TUNNEL: u16 = 768;
const TUNNEL6: u16 = 769;
const LOOPBACK: u16 = 772;
const SIT: u16 = 776;
const IPGRE: u16 = 778;
const IP6GRE: u16 = 823;
const NONE: u16 = 0xFFFE;

impl Framing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ethernet, Self::Ip, Self::Carried];

    /// What packets begin with on this interface.
    pub fn of(link: &Link) -> Result<Self, Unfit> {
        match link.kind.as_str() {
            "vrf" => return Err(Unfit::Vrf),
            "ifb" => return Err(Unfit::Ifb),
            "ipvlan" if link.is_l3s => return Err(Unfit::IpvlanL3s),
            "dummy" | "nlmon" | "vcan" | "vxcan" | "can" | "vsockmon" => return Err(Unfit::ReceivesNothing),
            "xfrm" | "vti" | "vti6" => return Err(Unfit::Ipsec),
            _ => {}
        }
        match link.hardware {
            ETHER | LOOPBACK => Ok(Self::Ethernet),
            NONE | RAWIP | PPP | TUNNEL | TUNNEL6 | IP6GRE => Ok(Self::Ip),
            SIT | IPGRE => Ok(Self::Carried),
            other => Err(Unfit::Unknown(other)),
        }
    }

    /// The name of the program for it.
    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Ethernet => "letmein",
            Self::Ip => "letmein_ip",
            Self::Carried => "letmein_tunnel",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(kind: &str, hardware: u16) -> Link {
        Link {
            kind: kind.to_owned(),
            hardware,
            ..Link::default()
        }
    }

    #[test]
    fn the_link_type_tells_what_comes_first() {
        for (kind, hardware, framing) in [
            ("", ETHER, Framing::Ethernet),
            ("veth", ETHER, Framing::Ethernet),
            ("gretap", ETHER, Framing::Ethernet),
            ("", LOOPBACK, Framing::Ethernet),
            ("tun", NONE, Framing::Ip),
            ("wireguard", NONE, Framing::Ip),
            ("ipip", TUNNEL, Framing::Ip),
            ("ip6tnl", TUNNEL6, Framing::Ip),
            ("ppp", PPP, Framing::Ip),
            ("", RAWIP, Framing::Ip),
            ("ip6gre", IP6GRE, Framing::Ip),
            ("gre", IPGRE, Framing::Carried),
            ("sit", SIT, Framing::Carried),
        ] {
            assert_eq!(
                Framing::of(&link(kind, hardware)),
                Ok(framing),
                "{kind} {hardware}"
            );
        }
    }

    #[test]
    fn what_sees_nothing_is_unfit() {
        for (kind, hardware) in [
            ("vrf", ETHER),
            ("ifb", ETHER),
            ("dummy", ETHER),
            ("nlmon", 824),
            ("xfrm", NONE),
            ("vti", TUNNEL),
            ("", 32),
        ] {
            assert!(Framing::of(&link(kind, hardware)).is_err(), "{kind} {hardware}");
        }
        let ipvlan = link("ipvlan", ETHER);
        assert!(Framing::of(&ipvlan).is_ok());
        let l3s = Link {
            is_l3s: true,
            ..ipvlan
        };
        assert_eq!(Framing::of(&l3s), Err(Unfit::IpvlanL3s));
    }
}
