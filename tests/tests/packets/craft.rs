//! Knocks and frames of the client's, good and bad.

use crate::{
    network::{CLIENT_V4, CLIENT_V6, CONTROL_PORT, Family, SERVER_V4, SERVER_V6},
    site::Site,
};
use letmein_common::{
    ResourceId, UserId,
    hmac::KeyedStates,
    wire::challenge::{Message, NO_TOKEN, Operation, SALT_LEN},
};
use letmein_tests::{
    frames::{IPV4, IPV6, Ipv4, Ipv6, UDP, udp},
    gate::KEY,
};
use std::net::{IpAddr, SocketAddr};

impl Site {
    /// A genuine KNOCK, which was not seen before.
    pub fn knock(&mut self) -> Vec<u8> {
        knock(&KeyedStates::new(&KEY), self.salt())
    }

    /// A KNOCK of a known user, made with another key.
    pub fn forged(&mut self) -> Vec<u8> {
        knock(&KeyedStates::new(&[1; 32]), self.salt())
    }

    /// A UDP datagram from the client to the control port.
    pub fn datagram(&mut self, family: Family, payload: &[u8]) -> Vec<u8> {
        let source = SocketAddr::new(family.client(), self.port());
        udp(source, (family.server(), CONTROL_PORT).into(), payload)
    }

    /// A UDP datagram from the client to the control port, with nothing special about it.
    pub fn plain(&mut self, family: Family, payload: &[u8]) -> Vec<u8> {
        let source = (family.client(), self.port()).into();
        self.plain_from(source, payload)
    }

    /// The same from anywhere.
    pub fn plain_from(&self, source: SocketAddr, payload: &[u8]) -> Vec<u8> {
        let to = |family: Family| SocketAddr::new(family.server(), CONTROL_PORT);
        match source.ip() {
            IpAddr::V4(address) => {
                let datagram = udp(source, to(Family::V4), payload);
                self.carry_v4(&Ipv4::new(address, SERVER_V4), &datagram)
            }
            IpAddr::V6(address) => {
                let datagram = udp(source, to(Family::V6), payload);
                self.carry_v6(&Ipv6::new(address, SERVER_V6), &datagram)
            }
        }
    }

    /// A frame with this UDP datagram.
    pub fn carry(&self, family: Family, datagram: &[u8]) -> Vec<u8> {
        match family {
            Family::V4 => self.carry_v4(&Ipv4::new(CLIENT_V4, SERVER_V4), datagram),
            Family::V6 => self.carry_v6(&Ipv6::new(CLIENT_V6, SERVER_V6), datagram),
        }
    }

    /// A frame with this UDP datagram behind this header.
    pub fn carry_v4(&self, header: &Ipv4, datagram: &[u8]) -> Vec<u8> {
        self.link.frame(IPV4, &header.packet(UDP, datagram))
    }

    /// A frame with this UDP datagram behind this header.
    pub fn carry_v6(&self, header: &Ipv6, datagram: &[u8]) -> Vec<u8> {
        self.link.frame(IPV6, &header.packet(UDP, datagram))
    }
}

/// Bytes that would not look the same if some were lost or changed places.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

fn knock(key: &KeyedStates, salt: [u8; SALT_LEN]) -> Vec<u8> {
    let (user, resource) = (UserId(1), ResourceId(1));
    Message::authenticated(Operation::Knock, user, resource, salt, key, &NO_TOKEN)
        .to_bytes()
        .to_vec()
}
