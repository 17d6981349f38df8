//! The rates of the last minutes, for the curves.

use super::super::protocol::Status;
use std::collections::VecDeque;

/// As many seconds as a very wide screen has columns.
const KEPT: usize = 512;

/// Packets per second, the latest last.
#[derive(Default)]
pub struct Past {
    refused: VecDeque<u64>,
    genuine: VecDeque<u64>,
    before: Option<(u64, u64)>,
}

impl Past {
    /// Takes note of the counters of a second.
    pub fn note(&mut self, status: &Status) {
        let now = (status.refused.total, status.genuine.total);
        if let Some((refused, genuine)) = self.before.replace(now) {
            push(&mut self.refused, now.0.saturating_sub(refused));
            push(&mut self.genuine, now.1.saturating_sub(genuine));
        }
    }

    /// The last seconds of refused packets, as many as there are columns.
    pub fn refused(&self, columns: u16) -> Vec<u64> {
        last(&self.refused, columns)
    }

    /// The same of genuine ones.
    pub fn genuine(&self, columns: u16) -> Vec<u64> {
        last(&self.genuine, columns)
    }
}

fn push(past: &mut VecDeque<u64>, value: u64) {
    if past.len() == KEPT {
        past.pop_front();
    }
    past.push_back(value);
}

/// The latest at the right edge, also when there are few.
fn last(past: &VecDeque<u64>, columns: u16) -> Vec<u64> {
    let columns = usize::from(columns);
    let missing = columns.saturating_sub(past.len());
    let there = past.iter().skip(past.len().saturating_sub(columns));
    std::iter::repeat_n(0, missing).chain(there.copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_second_is_at_the_right() {
        let mut past = Past::default();
        let mut status = Status::default();
        for total in [100, 101, 103, 106] {
            status.refused.total = total;
            past.note(&status);
        }
        assert_eq!(past.refused(5), [0, 0, 1, 2, 3]);
        assert_eq!(past.refused(2), [2, 3]);
        assert_eq!(past.genuine(2), [0, 0]);
    }
}
