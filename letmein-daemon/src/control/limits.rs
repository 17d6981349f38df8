//! Who may hold how many TCP connections.
//!
//! A source network has a small share. When all places are taken the oldest connection makes way: it has had
//! the longest time to say its four messages, and holding places cannot lock anybody out.

use letmein_common::source::{Address, Prefixes};
use std::{collections::VecDeque, net::IpAddr};
use tokio::task::AbortHandle;

/// The connections that are served now, oldest first.
pub struct Connections {
    total: usize,
    per_source: usize,
    prefixes: Prefixes,
    open: VecDeque<(IpAddr, AbortHandle)>,
}

impl Connections {
    /// No connections yet.
    #[must_use]
    pub fn new(total: u32, per_source: u32, prefixes: Prefixes) -> Self {
        Self {
            total: total as usize,
            per_source: per_source as usize,
            prefixes,
            open: VecDeque::new(),
        }
    }

    /// From now on there may be this many. Those that are open stay.
    pub const fn change(&mut self, total: u32, per_source: u32, prefixes: Prefixes) {
        self.total = total as usize;
        self.per_source = per_source as usize;
        self.prefixes = prefixes;
    }

    /// Whether a connection from `source` gets a place. Ends the oldest one if that takes it.
    pub fn admit(&mut self, source: IpAddr) -> bool {
        self.open.retain(|(_, task)| !task.is_finished());
        let network = self.network(source);
        let same = self
            .open
            .iter()
            .filter(|(other, _)| self.network(*other) == network);
        if same.count() >= self.per_source {
            return false;
        }
        while self.open.len() >= self.total {
            match self.open.pop_front() {
                Some((_, task)) => task.abort(),
                None => break,
            }
        }
        true
    }

    /// Remembers the task that serves an admitted connection.
    pub fn add(&mut self, source: IpAddr, task: AbortHandle) {
        self.open.push_back((source, task));
    }

    fn network(&self, source: IpAddr) -> Address {
        Address::from(source.to_canonical()).network(&self.prefixes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::task::JoinHandle;

    /// Admits a connection that does nothing, or tells that it was refused.
    fn connect(connections: &mut Connections, source: &str) -> Option<JoinHandle<()>> {
        let source = source.parse().unwrap();
        connections.admit(source).then(|| {
            let task = tokio::spawn(pending::<()>());
            connections.add(source, task.abort_handle());
            task
        })
    }

    #[tokio::test]
    async fn a_network_has_its_share_and_the_oldest_makes_way() {
        let mut connections = Connections::new(3, 2, Prefixes::new(32, 56));
        let oldest = connect(&mut connections, "192.0.2.1").unwrap();
        assert!(connect(&mut connections, "192.0.2.1").is_some());
        assert!(connect(&mut connections, "192.0.2.1").is_none());
        assert!(connect(&mut connections, "2001:db8::1").is_some());
        assert!(connect(&mut connections, "192.0.2.2").is_some());
        assert!(oldest.await.unwrap_err().is_cancelled());
        assert!(connect(&mut connections, "192.0.2.1").is_some());
    }
}
