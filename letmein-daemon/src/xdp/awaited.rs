//! Challenges that the XDP program lets a RESPONSE pass for.
//!
//! The map never overflows: what has lapsed is removed, and if that does not do, the user who has the most makes way.

use super::{error::XdpError, kernel_gate::remove, programs::take};
use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use letmein_common::{
    UserId,
    maps::{Awaited, Pending, PendingKey},
};
use std::collections::{self, VecDeque};

const MAP: &str = "PENDING";

/// The map, and what is in it.
pub(super) struct Challenges {
    map: HashMap<MapData, PendingKey, Awaited>,
    by_user: collections::HashMap<UserId, VecDeque<(u64, PendingKey)>>,
    count: usize,
    capacity: usize,
}

impl Challenges {
    /// None yet, and at most `capacity`, which is the size of the map.
    pub fn new(ebpf: &mut Ebpf, capacity: u32) -> Result<Self, XdpError> {
        Ok(Self {
            map: take(ebpf, MAP)?,
            by_user: collections::HashMap::new(),
            count: 0,
            capacity: capacity.max(1) as usize,
        })
    }

    /// Lets the RESPONSE to a challenge pass until it lapses.
    pub fn expect(&mut self, exchange: &PendingKey, pending: &Pending, now: u64) -> Result<(), XdpError> {
        let (user, end) = (exchange.user, pending.expires);
        let of_user = self.by_user.entry(user).or_default();
        let known = of_user.iter_mut().find(|(_, known)| known == exchange);
        if let Some((earlier, _)) = known {
            *earlier = end;
        } else {
            self.make_room(now)?;
            self.by_user.entry(user).or_default().push_back((end, *exchange));
            self.count += 1;
        }
        self.map
            .insert(exchange, Awaited::from(*pending), 0)
            .map_err(failed)
    }

    /// Knows those that are pending in another one as well.
    pub fn succeed(&mut self, other: &Self, now: u64) -> Result<(), XdpError> {
        let pending = other.by_user.values().flatten();
        for (end, exchange) in pending.filter(|(end, _)| now < *end) {
            let Ok(awaited) = other.map.get(exchange, 0) else {
                continue;
            };
            self.expect(exchange, &awaited.pending, now)?;
            // With what was taken from its buckets.
            let kept = Awaited {
                pending: Pending {
                    expires: *end,
                    ..awaited.pending
                },
                ..awaited
            };
            self.map.insert(exchange, kept, 0).map_err(failed)?;
        }
        Ok(())
    }

    fn make_room(&mut self, now: u64) -> Result<(), XdpError> {
        if self.count < self.capacity {
            return Ok(());
        }
        let mut over = Vec::new();
        self.by_user.retain(|_, pending| {
            pending.retain(|(end, exchange)| {
                let lapsed = *end <= now;
                if lapsed {
                    over.push(*exchange);
                }
                !lapsed
            });
            !pending.is_empty()
        });
        if over.is_empty() {
            let most = self.by_user.values_mut().max_by_key(|pending| pending.len());
            over.extend(most.and_then(VecDeque::pop_front).map(|(_, exchange)| exchange));
        }
        self.count = self.count.saturating_sub(over.len());
        for exchange in over {
            remove(&mut self.map, &exchange).map_err(failed)?;
        }
        Ok(())
    }
}

const fn failed(source: aya::maps::MapError) -> XdpError {
    XdpError::Map { map: MAP, source }
}
