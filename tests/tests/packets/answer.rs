//! What the gate sends back.

use crate::network::CONTROL_PORT;
use letmein_common::wire::challenge::{Message, Operation};
use letmein_tests::frames::{ETHERNET_LEN, IPV4, IPV6, UDP};
use std::net::{IpAddr, SocketAddr};

/// A datagram from the control port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Where it went.
    pub to: SocketAddr,
    /// What it says.
    pub message: Message,
}

impl Answer {
    /// The answer in this frame, if there is one. The server's kernel sends neither VLAN tags nor options.
    pub fn find(frame: &[u8]) -> Option<Self> {
        let ethertype = u16::from_be_bytes(*frame[ETHERNET_LEN - 2..].first_chunk()?);
        let packet = &frame[ETHERNET_LEN..];
        let (to, udp): (IpAddr, _) = match ethertype {
            IPV4 if *packet.get(9)? == UDP => (
                packet.get(16..)?.first_chunk::<4>().copied()?.into(),
                packet.get(20..)?,
            ),
            IPV6 if *packet.get(6)? == UDP => (
                packet.get(24..)?.first_chunk::<16>().copied()?.into(),
                packet.get(40..)?,
            ),
            _ => return None,
        };
        let port = |at| Some(u16::from_be_bytes(*udp.get(at..)?.first_chunk::<2>()?));
        if port(0)? != CONTROL_PORT {
            return None;
        }
        let message = Message::parse(&udp[8..]).unwrap();
        Some(Self {
            to: (to, port(2)?).into(),
            message,
        })
    }

    /// Whether it is a CHALLENGE.
    pub fn is_challenge(&self) -> bool {
        self.message.operation == Operation::Challenge
    }
}
