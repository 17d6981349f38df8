//! What the XDP program remembers about users: one element for each, carried over from one program to the next.

use super::{error::XdpError, programs::take};
use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData},
};
use letmein_common::{UserId, account::Account};

const MAP: &str = "ACCOUNTS";

/// The map.
pub(super) struct Accounts {
    map: HashMap<MapData, UserId, Account>,
    users: Vec<UserId>,
}

impl Accounts {
    /// Makes an element for each user.
    pub fn new(ebpf: &mut Ebpf, users: impl Iterator<Item = UserId>) -> Result<Self, XdpError> {
        let mut map: HashMap<_, UserId, Account> = take(ebpf, MAP)?;
        let users: Vec<_> = users.collect();
        for user in &users {
            map.insert(user, Account::default(), 0).map_err(failed)?;
        }
        Ok(Self { map, users })
    }

    /// Remembers what is in the map of an earlier program, of users that there still are.
    pub fn carry_over(&mut self, earlier: MapData) {
        if let Ok(earlier) = HashMap::try_from(Map::HashMap(earlier)) {
            self.copy(&earlier);
        }
    }

    /// The same from the one that runs.
    pub fn succeed(&mut self, other: &Self) {
        self.copy(&other.map);
    }

    /// What cannot be read or written is forgotten: it only decides who waits.
    fn copy(&mut self, from: &HashMap<MapData, UserId, Account>) {
        for user in &self.users {
            if let Ok(account) = from.get(user, 0) {
                let _forgotten = self.map.insert(user, account, 0);
            }
        }
    }

    /// How many genuine knocks of each user were refused because they were too many.
    pub fn over_quota(&self) -> Result<Vec<(UserId, u64)>, XdpError> {
        let mut refused = Vec::new();
        for user in &self.users {
            let account = self.map.get(user, 0).map_err(failed)?;
            if account.refused() > 0 {
                refused.push((*user, account.refused()));
            }
        }
        Ok(refused)
    }
}

const fn failed(source: aya::maps::MapError) -> XdpError {
    XdpError::Map { map: MAP, source }
}
