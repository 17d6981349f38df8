//! A few of the packets that the XDP program refuses: who is scanning.

use super::error::XdpError;
use aya::maps::{Array, MapData, RingBuf};
use letmein_common::sample::Refused;

/// The ring buffer with them, and the number that lets each CPU tell of some more.
pub(super) struct RefusedPackets {
    ring: RingBuf<MapData>,
    round: Array<MapData, u32>,
    number: u32,
}

impl RefusedPackets {
    pub(super) const fn new(ring: RingBuf<MapData>, round: Array<MapData, u32>) -> Self {
        Self {
            ring,
            round,
            number: 0,
        }
    }

    /// Those that were told of since this was called last. From now on there are new ones.
    pub fn next_round(&mut self) -> Result<Vec<Refused>, XdpError> {
        let mut refused = Vec::new();
        while let Some(record) = self.ring.next() {
            refused.extend(Refused::from_bytes(&record));
        }
        // 0 is what a CPU has that was never asked.
        self.number = self.number.wrapping_add(1).max(1);
        self.round
            .set(0, self.number, 0)
            .map_err(|source| XdpError::Map { map: "ROUND", source })?;
        Ok(refused)
    }
}
