//! Who is refused most: estimated from the few packets that are told of.

use letmein_common::{reason::Reason, sample::Refused};
use std::{collections::HashMap, net::IpAddr};

/// How many sources are remembered. Forged ones are as many as there are packets.
const MOST: usize = 1024;
/// What a second weighs in a rate, against those before.
const WEIGHT: f64 = 0.3;
/// Below this many packets a second, a source is forgotten: half a minute after a single packet.
const FORGOTTEN: f64 = 0.000_01;

/// What is known of each source.
#[derive(Default)]
pub struct Sources {
    known: HashMap<IpAddr, Source>,
}

/// What one source sends that is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source {
    /// About this many packets a second, over the last seconds.
    pub per_second: f64,
    /// About this many since it was first seen.
    pub total: f64,
    /// Why the latest one was refused.
    pub reason: Reason,
    /// Where that was for.
    pub port: u16,
}

impl Sources {
    /// Takes note of what a second has brought: some of the refused packets, and how many there were altogether.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn note(&mut self, told: &[Refused], refused: u64) {
        // Each stands for others that were not told of.
        let each = (refused as f64 / told.len().max(1) as f64).max(1.0);
        for source in self.known.values_mut() {
            source.per_second *= 1.0 - WEIGHT;
        }
        self.known.retain(|_, source| source.per_second > FORGOTTEN);
        for packet in told {
            let Some(reason) = packet.reason() else {
                continue;
            };
            let source = self.known.entry(packet.source.into()).or_insert(Source {
                per_second: 0.0,
                total: 0.0,
                reason,
                port: 0,
            });
            source.per_second += WEIGHT * each;
            source.total += each;
            source.reason = reason;
            source.port = packet.port();
        }
        if self.known.len() > MOST {
            for (address, _) in self.ordered().split_off(MOST) {
                self.known.remove(&address);
            }
        }
    }

    /// Those that send most.
    #[must_use]
    pub fn top(&self, most: usize) -> Vec<(IpAddr, Source)> {
        let mut top = self.ordered();
        top.truncate(most);
        top
    }

    fn ordered(&self) -> Vec<(IpAddr, Source)> {
        let mut all: Vec<_> = self
            .known
            .iter()
            .map(|(address, source)| (*address, *source))
            .collect();
        all.sort_by(|(a_address, a), (b_address, b)| {
            let by_rate = b.per_second.total_cmp(&a.per_second);
            by_rate.then_with(|| a_address.cmp(b_address))
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use letmein_common::source::Address;

    fn packet(last: u16) -> Refused {
        let [high, low] = last.to_be_bytes();
        Refused::new(Address::v4([192, 0, high, low]), 22, Reason::Shield)
    }

    #[test]
    fn who_sends_most_is_first_and_the_estimate_counts_what_was_not_told_of() {
        let mut sources = Sources::default();
        for _ in 0..30 {
            sources.note(&[packet(1), packet(2), packet(1), packet(1)], 4000);
        }
        let top = sources.top(5);
        assert_eq!(top.len(), 2);
        let (address, first) = top[0];
        assert_eq!((address.to_string().as_str(), first.port), ("192.0.0.1", 22));
        assert!((first.per_second - 3000.0).abs() < 1.0, "{first:?}");
        assert!((first.total - 90_000.0).abs() < 1.0, "{first:?}");
    }

    #[test]
    fn forged_sources_are_bounded_and_the_quiet_are_forgotten() {
        let mut sources = Sources::default();
        for round in 0..100 {
            let told: Vec<_> = (0..64).map(|number| packet(64 * round + number)).collect();
            sources.note(&told, 1_000_000);
        }
        assert_eq!(sources.known.len(), MOST);
        for _ in 0..100 {
            sources.note(&[], 0);
        }
        assert_eq!(sources.top(1), []);
    }
}
