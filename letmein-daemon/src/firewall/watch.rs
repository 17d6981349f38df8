//! What others do to our part of nftables, as the kernel tells it to everybody who listens.
//!
//! Our own transactions come along, too, and are known by the port of our socket. They count where the order matters: a
//! lease that somebody deletes and a knock opens again is open. `nft` when we run it is taken for somebody else; then
//! nothing is found to be wrong.

use std::collections::HashSet;
use std::ffi::CStr;
use std::io;
use std::mem;

use netlink_bindings::nftables::{GenAttrs, Nfgenmsg, SetAttrs, SetelemListAttrs};
use nix::sys::socket::SockProtocol;

use crate::netlink::{Answer, Listener, answers};

use super::elements::{read_elements, read_keys};
use super::lease::{Lease, LeaseKey};
use super::lease_set::LeaseSet;
use super::message::{NFNL_SUBSYS_NFTABLES, NFPROTO_INET};
use super::plan::Scope;

/// `NFNLGRP_NFTABLES` of `linux/netfilter/nfnetlink.h`.
const GROUP: u32 = 7;

// linux/netfilter/nf_tables.h: from NFT_MSG_NEWTABLE to NFT_MSG_DELSET, and from NFT_MSG_DESTROYTABLE to
// NFT_MSG_DESTROYSET, all are about tables, chains, rules and sets.
const NEW_TABLE: u16 = 0;
const NEW_SET: u16 = 9;
const DELETE_SET: u16 = 11;
const NEW_ELEMENT: u16 = 12;
const DELETE_ELEMENT: u16 = 14;
const NEW_GENERATION: u16 = 15;
const DESTROY_TABLE: u16 = 26;
const DESTROY_SET: u16 = 29;
const DESTROY_ELEMENT: u16 = 30;

/// Notifications about the table that our rules are in.
pub struct Watch {
    listener: Listener,
    noted: Noted,
}

/// What has happened since the last time that somebody asked.
#[derive(Debug, Default)]
pub struct Changes {
    /// Something about our table, its chains, rules or sets.
    pub rules: bool,
    /// Notifications were lost: anything may have happened.
    pub overrun: bool,
    /// Leases that somebody else has added, in a set of ours.
    pub added: Vec<Lease>,
    /// Leases that somebody else has deleted, and that are not there again.
    pub removed: HashSet<LeaseKey>,
    /// Who else it was: the first program that changed anything of ours.
    pub by: Option<String>,
}

struct Noted {
    scope: Scope,
    own_port: u32,
    changes: Changes,
    /// The transaction that is being told has something of ours in it.
    concerns_us: bool,
    /// Lease sets that somebody else has made: what is in them are no leases, but what some file once had.
    strange: HashSet<LeaseSet>,
}

impl Watch {
    pub(super) fn open(scope: Scope, own_port: u32) -> io::Result<Self> {
        Ok(Self {
            listener: Listener::open(SockProtocol::NetlinkNetFilter, GROUP)?,
            noted: Noted::new(scope, own_port),
        })
    }

    /// Waits until there may be changes, which have to be taken then.
    pub async fn ready(&self) -> io::Result<()> {
        self.listener.ready().await
    }

    /// All that has happened until now.
    pub fn take(&mut self) -> io::Result<Changes> {
        let noted = &mut self.noted;
        self.listener.read(|datagram| match datagram {
            Some(datagram) => answers(datagram, &mut |message| noted.note(message)),
            None => noted.changes.overrun = true,
        })?;
        Ok(mem::take(&mut noted.changes))
    }

    /// All our sets are ours again.
    pub fn repaired(&mut self) {
        self.noted.strange.clear();
    }
}

impl Noted {
    fn new(scope: Scope, own_port: u32) -> Self {
        Self {
            scope,
            own_port,
            changes: Changes::default(),
            concerns_us: false,
            strange: HashSet::new(),
        }
    }

    fn note(&mut self, message: &Answer<'_>) {
        let own = message.port == self.own_port;
        let Some((header, attributes)) = message.payload.split_at_checked(Nfgenmsg::len()) else {
            return;
        };
        let kind = message.kind & 0xff;
        if message.kind >> 8 != NFNL_SUBSYS_NFTABLES || (own && self.changes.removed.is_empty()) {
            return;
        }
        if kind == NEW_GENERATION {
            if mem::take(&mut self.concerns_us) && !own {
                self.changes.by.get_or_insert_with(|| program(attributes));
            }
            return;
        }
        // All these messages begin with the name of the table.
        let table = SetAttrs::new(attributes).get_table();
        let ours = table.is_ok_and(|name| name.to_bytes() == self.scope.layout.table.as_bytes());
        if !ours || header.first() != Some(&NFPROTO_INET) {
            return;
        }
        self.concerns_us = true;
        match kind {
            NEW_ELEMENT => self.note_elements(true, own, attributes),
            DELETE_ELEMENT | DESTROY_ELEMENT => self.note_elements(false, own, attributes),
            NEW_TABLE..=DELETE_SET | DESTROY_TABLE..=DESTROY_SET if !own => {
                self.changes.rules = true;
                if kind == NEW_SET
                    && let Some(set) = self.lease_set(SetAttrs::new(attributes).get_name().ok())
                {
                    self.strange.insert(set);
                }
            }
            _ => {}
        }
    }

    fn note_elements(&mut self, added: bool, own: bool, attributes: &[u8]) {
        let name = SetelemListAttrs::new(attributes).get_set().ok();
        let Some(set) = self.lease_set(name) else {
            self.changes.rules |= !own;
            return;
        };
        let layout = &self.scope.layout;
        let Changes {
            added: additions,
            removed,
            ..
        } = &mut self.changes;
        match (added, own) {
            (true, true) => read_keys(set, attributes, |key| {
                removed.remove(&key);
            }),
            (true, false) => read_elements(set, attributes, |lease| {
                // One in the set of something else opens nothing that anybody could ask for.
                if let Some(lease) = lease.filter(|lease| layout.set_of(&lease.key) == set) {
                    removed.remove(&lease.key);
                    if !self.strange.contains(&set) {
                        additions.push(lease);
                    }
                }
            }),
            (false, false) => read_keys(set, attributes, |key| {
                removed.insert(key);
                additions.retain(|lease| lease.key != key);
            }),
            // Part of a refresh, or a REVOKE.
            (false, true) => {}
        }
    }

    fn lease_set(&self, name: Option<&CStr>) -> Option<LeaseSet> {
        let Scope { layout, .. } = &self.scope;
        let set = layout.parse(name?.to_str().ok()?)?;
        layout.has(set).then_some(set)
    }
}

impl Changes {
    /// What one datagram tells.
    pub(super) fn told(scope: Scope, own_port: u32, datagram: &[u8]) -> Self {
        let mut noted = Noted::new(scope, own_port);
        answers(datagram, &mut |message| noted.note(message));
        noted.changes
    }
}

/// `nft (process 1234)`
fn program(attributes: &[u8]) -> String {
    let generation = GenAttrs::new(attributes);
    let name = generation.get_proc_name().map(CStr::to_string_lossy);
    match (name, generation.get_proc_pid()) {
        (Ok(name), Ok(pid)) => format!("{name} (process {pid})"),
        _ => String::new(),
    }
}
