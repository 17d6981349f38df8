//! Ethernet II with VLAN tags.

/// An Ethernet address.
pub type Mac = [u8; 6];

/// `EtherType` of IPv4.
pub const IPV4: u16 = 0x0800;
/// `EtherType` of IPv6.
pub const IPV6: u16 = 0x86DD;
/// Length of an Ethernet header.
pub const ETHERNET_LEN: usize = 14;
const ADDRESSES_LEN: usize = 12;
const TAG_LEN: usize = 4;
/// C-VLAN (IEEE 802.1Q).
pub const CUSTOMER: u16 = 0x8100;
/// S-VLAN (IEEE 802.1ad).
pub const PROVIDER: u16 = 0x88A8;
/// What some called an S-VLAN before there was a standard.
pub const OLD_PROVIDER: u16 = 0x9100;

/// A VLAN tag.
#[derive(Clone, Copy, Debug)]
pub struct Tag {
    /// One of [`CUSTOMER`], [`PROVIDER`] and [`OLD_PROVIDER`], or anything that is none.
    pub kind: u16,
    /// The VLAN's number.
    pub vlan: u16,
}

/// Both ends of the wire, as the sender sees them.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The sender.
    pub source: Mac,
    /// The receiver.
    pub destination: Mac,
}

impl Link {
    /// An Ethernet II frame.
    #[must_use]
    pub fn frame(&self, ethertype: u16, payload: &[u8]) -> Vec<u8> {
        self.tagged(&[], ethertype, payload)
    }

    /// An Ethernet II frame with these VLAN tags, the outer one first.
    #[must_use]
    pub fn tagged(&self, tags: &[Tag], ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = [self.destination, self.source].concat();
        for tag in tags {
            frame.extend(tag.kind.to_be_bytes());
            frame.extend(tag.vlan.to_be_bytes());
        }
        frame.extend(ethertype.to_be_bytes());
        frame.extend(payload);
        frame
    }
}

/// What a [`crate::tap::Tap`] shows of `frame`: without its outer tag, if it has one that the kernel takes off, and
/// nothing if two bytes do not follow such a tag.
#[must_use]
pub fn as_tapped(frame: &[u8]) -> Option<Vec<u8>> {
    let mut frame = frame.to_vec();
    let kind = frame.get(ADDRESSES_LEN..ETHERNET_LEN)?;
    if [CUSTOMER, PROVIDER].contains(&u16::from_be_bytes([kind[0], kind[1]])) {
        frame.get(ETHERNET_LEN + TAG_LEN + 1)?;
        frame.drain(ADDRESSES_LEN..ADDRESSES_LEN + TAG_LEN);
    }
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::{CUSTOMER, Link, Tag, as_tapped};

    #[test]
    fn one_tag_is_taken_off() {
        let link = Link {
            source: [1; 6],
            destination: [2; 6],
        };
        let tag = Tag {
            kind: CUSTOMER,
            vlan: 7,
        };
        let payload = &[6, 7];
        let bare = link.frame(5, payload);
        assert_eq!(as_tapped(&bare), Some(bare.clone()));
        assert_eq!(as_tapped(&link.tagged(&[tag], 5, payload)), Some(bare));
        let two = link.tagged(&[tag; 2], 5, payload);
        assert_eq!(as_tapped(&two), Some(link.tagged(&[tag], 5, payload)));
        assert_eq!(as_tapped(&link.tagged(&[tag], 5, &[6])), None);
    }
}
