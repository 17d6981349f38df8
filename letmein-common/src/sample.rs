//! Who is refused: a few of the refused packets, for operators to see.
//!
//! The daemon begins a round each second. Each CPU tells of the first packets in it, and of no more: under a flood, a
//! refused packet costs a look at a number that has come down to zero.

use crate::{reason::Reason, source::Address};

/// How many packets each CPU tells of in a round.
pub const PER_ROUND: u32 = 32;

/// What a CPU has told of in this round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Sampling {
    round: u32,
    left: u32,
}

impl Sampling {
    /// Whether to tell of one more packet. Round 0 is before the first.
    #[inline(always)]
    pub const fn take(&mut self, round: u32) -> bool {
        if self.round != round {
            self.round = round;
            self.left = PER_ROUND;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}

/// A packet that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Refused {
    /// Where it says that it came from.
    pub source: Address,
    /// The place of its reason in [`Reason::ALL`].
    reason: u32,
    /// The port that it was for; 32 bits wide so that there is no padding.
    port: u32,
}

impl Refused {
    /// A packet from `source` to `port`.
    #[inline(always)]
    #[must_use]
    pub const fn new(source: Address, port: u32, reason: Reason) -> Self {
        Self {
            source,
            reason: reason as u32,
            port,
        }
    }

    /// The length of a record.
    pub const LEN: usize = size_of::<Self>();

    /// A record as the ring buffer has it.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (source, rest) = bytes.split_at_mut(16);
        let (reason, port) = rest.split_at_mut(4);
        source.copy_from_slice(&self.source.bytes());
        reason.copy_from_slice(&self.reason.to_ne_bytes());
        port.copy_from_slice(&self.port.to_ne_bytes());
        bytes
    }

    /// Reads a record of the ring buffer.
    #[must_use]
    pub fn from_bytes(record: &[u8]) -> Option<Self> {
        let (source, rest) = record.split_first_chunk::<16>()?;
        let (reason, rest) = rest.split_first_chunk()?;
        Some(Self {
            source: Address::v6(*source),
            reason: u32::from_ne_bytes(*reason),
            port: u32::from_ne_bytes(rest.try_into().ok()?),
        })
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        Reason::ALL.get(usize::try_from(self.reason).ok()?).copied()
    }

    /// Where it was for.
    #[must_use]
    pub fn port(&self) -> u16 {
        u16::try_from(self.port).unwrap_or_default()
    }
}

// The sum of the fields: were there padding, the type would be larger.
const _: () = {
    assert!(size_of::<Sampling>() == 2 * 4);
    assert!(size_of::<Refused>() == 16 + 2 * 4);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_round_trip() {
        let refused = Refused::new(Address::v4([192, 0, 2, 1]), 22, Reason::Shield);
        assert_eq!(Refused::from_bytes(&refused.to_bytes()), Some(refused));
        assert_eq!((refused.reason(), refused.port()), (Some(Reason::Shield), 22));
        assert_eq!(Refused::from_bytes(&refused.to_bytes()[1..]), None);
    }

    #[test]
    fn a_round_has_an_end_and_the_next_begins_anew() {
        let mut sampling = Sampling::default();
        assert!(!sampling.take(0));
        for round in 1..3 {
            let told = (0..10 * PER_ROUND).filter(|_| sampling.take(round)).count();
            assert_eq!(told, PER_ROUND as usize);
        }
    }
}
