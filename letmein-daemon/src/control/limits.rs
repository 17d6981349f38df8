//! Who may hold how many TCP connections.
//!
//! There are `total` places. When they are taken, somebody makes way for whoever comes: of the users who have proved
//! their keys, each with their connections, and the strangers, who count as one more, whoever has the most. A user loses
//! the oldest connection. Among strangers, who makes way is found network by network: see `Crowd`.
//!
//! So with *n* users who have connections, each of them and the strangers together have `total` / (*n* + 1) places that
//! nobody else can take; strangers are let in always; and those of one network cannot push out those of another that
//! has fewer.

mod crowd;

use crate::fair::Table;
use crowd::Crowd;
use letmein_common::{
    UserId,
    source::{Address, Prefixes},
};
use std::{collections::HashMap, net::IpAddr};
use tokio::task::AbortHandle;

/// The networks whose members are counted together, besides the address family and the source network itself: what a
/// provider has, and what a customer of one may get.
const WIDER_V4: [u8; 2] = [16, 24];
const WIDER_V6: [u8; 2] = [32, 48];

/// The family, two wider networks, and the source network.
type Path = [Address; 4];

/// The number of a connection. A later one has a higher number.
pub type Number = u64;

/// The connections that are served now.
pub struct Connections {
    total: usize,
    per_source: usize,
    prefixes: Prefixes,
    next: Number,
    /// Where the strangers come from.
    paths: HashMap<Number, Path>,
    strangers: Crowd<(Number, AbortHandle)>,
    users: Table<UserId, Number, AbortHandle>,
}

impl Connections {
    /// No connections yet.
    #[must_use]
    pub fn new(total: u32, per_source: u32, prefixes: Prefixes) -> Self {
        Self {
            total: total as usize,
            per_source: per_source as usize,
            prefixes,
            next: 0,
            paths: HashMap::new(),
            strangers: Crowd::default(),
            users: Table::new(usize::MAX),
        }
    }

    /// From now on there may be this many. Those that are open stay.
    pub const fn change(&mut self, total: u32, per_source: u32, prefixes: Prefixes) {
        self.total = total as usize;
        self.per_source = per_source as usize;
        self.prefixes = prefixes;
    }

    /// A number for the next connection.
    pub const fn number(&mut self) -> Number {
        self.next += 1;
        self.next
    }

    /// Admits a connection of a stranger, which this task serves. Ends others if that takes it.
    pub fn add(&mut self, number: Number, source: IpAddr, task: AbortHandle) {
        let path = self.path(source);
        self.paths.insert(number, path);
        self.strangers.add(&path, number, (number, task));
        if self.strangers.len_of(&path) > self.per_source {
            let oldest = self.strangers.take_oldest_of(&path);
            self.end_stranger(oldest);
        }
        while self.strangers.len() + self.users.len() > self.total.max(1) {
            self.make_way();
        }
    }

    /// This one has proved a key, and is a stranger no more. Not if it had to make way.
    pub fn prove(&mut self, number: Number, user: UserId) {
        let Some(path) = self.paths.remove(&number) else {
            return;
        };
        if let Some((_, task)) = self.strangers.remove(&path, number) {
            self.users.insert(user, number, task);
        }
    }

    /// This one is over.
    pub fn remove(&mut self, number: Number) {
        match self.paths.remove(&number) {
            Some(path) => drop(self.strangers.remove(&path, number)),
            None => drop(self.users.remove(&number)),
        }
    }

    fn make_way(&mut self) {
        if let Some((count, _)) = self.users.largest()
            && count > self.strangers.len()
        {
            if let Some((_, task)) = self.users.take_from_largest() {
                task.abort();
            }
        } else {
            let stranger = self.strangers.take_from_fullest();
            self.end_stranger(stranger);
        }
    }

    fn end_stranger(&mut self, stranger: Option<(Number, AbortHandle)>) {
        if let Some((number, task)) = stranger {
            self.paths.remove(&number);
            task.abort();
        }
    }

    fn path(&self, source: IpAddr) -> Path {
        let source = Address::from(source.to_canonical()).network(&self.prefixes);
        let family = source.network(&Prefixes::new(0, 0));
        let [wide, wider] = [1, 0].map(|at| source.network(&Prefixes::new(WIDER_V4[at], WIDER_V6[at])));
        [family, wider, wide, source]
    }
}

#[cfg(test)]
mod tests;
