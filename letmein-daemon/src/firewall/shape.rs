//! What of ours is in the kernel, read over netlink in microseconds, so that a change is noticed.
//!
//! A shape is compared with the one that was there after installing. Handles are never given out twice, so a table, set
//! or rule that was deleted and made again differs from what it replaces, and what was in the old set is gone with it.

use std::collections::BTreeMap;
use std::ffi::CStr;

use netlink_bindings::nftables::{
    ChainAttrs, PushRuleAttrs, PushSetAttrs, SetAttrs, SetelemListAttrs, SetelemListElemAttrs, TableAttrs,
};
use nix::errno::Errno;

use super::elements::write_set;
use super::message::Request;
use super::netlink::Transport;
use super::plan::Scope;

/// The table, and in it the chains, rules and sets that are ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Handle and flags.
    table: Option<(u64, u32)>,
    /// By name: handle, policy, and the bytes of the hook.
    chains: BTreeMap<String, (u64, Option<u32>, Vec<u8>)>,
    /// The bytes of each, which begin with its table, chain and handle.
    rules: Vec<Vec<u8>>,
    /// By name: handle and flags.
    sets: BTreeMap<String, (u64, u32)>,
    /// Elements without a clock: set and bytes, sorted.
    elements: Vec<(String, Vec<u8>)>,
}

/// A set whose elements have a clock: `NFT_SET_TIMEOUT` of `linux/netfilter/nf_tables.h`.
const TIMEOUT: u32 = 0x10;

impl Shape {
    /// Reads what is there now. `EINTR` says that it changed meanwhile.
    pub(super) fn read(transport: &mut Transport, scope: &Scope) -> Result<Self, Errno> {
        let mut shape = Self::default();
        dump(
            transport,
            Request::GetTables,
            |_| (),
            |answer| shape.add_table(scope, answer),
        )?;
        if shape.table.is_none() {
            return Ok(shape);
        }
        dump(
            transport,
            Request::GetChains,
            |_| (),
            |answer| shape.add_chain(scope, answer),
        )?;
        for chain in &scope.chains {
            let of_chain = |outbox: &mut Vec<u8>| {
                let table = PushRuleAttrs::new(outbox).push_table_bytes(scope.layout.table.as_bytes());
                drop(table.push_chain_bytes(chain.as_bytes()));
            };
            dump(transport, Request::GetRules, of_chain, |answer| {
                shape.rules.push(answer.to_vec());
            })?;
        }
        let of_table = |outbox: &mut Vec<u8>| {
            drop(PushSetAttrs::new(outbox).push_table_bytes(scope.layout.table.as_bytes()));
        };
        dump(transport, Request::GetSets, of_table, |answer| {
            shape.add_set(scope, answer);
        })?;
        for (set, (_, flags)) in &shape.sets {
            if flags & TIMEOUT == 0 {
                let of_set = |outbox: &mut Vec<u8>| write_set(outbox, &scope.layout.table, set);
                let elements = &mut shape.elements;
                dump(transport, Request::Get, of_set, |answer| {
                    add_elements(elements, set, answer);
                })?;
            }
        }
        shape.elements.sort_unstable();
        Ok(shape)
    }

    /// What these attributes say, taken for those of each kind of object in turn.
    pub(super) fn told(scope: &Scope, attributes: &[u8]) -> Self {
        let mut shape = Self::default();
        shape.add_table(scope, attributes);
        shape.add_chain(scope, attributes);
        shape.add_set(scope, attributes);
        add_elements(&mut shape.elements, "leases4", attributes);
        shape
    }

    /// Whether all that the scope names is there, with this many rules.
    pub(super) fn is_complete(&self, scope: &Scope, rules: usize) -> bool {
        self.table.is_some()
            && self.chains.len() == scope.chains.len()
            && self.sets.len() == scope.sets.len()
            && self.rules.len() == rules
    }

    /// Whether the other shape's set of this name is this one's, so that its elements are still there.
    pub(super) fn has_same_set(&self, other: &Self, name: &str) -> bool {
        let handle = |shape: &Self| Some((shape.table?.0, shape.sets.get(name)?.0));
        handle(self).is_some_and(|this| Some(this) == handle(other))
    }

    fn add_table(&mut self, scope: &Scope, answer: &[u8]) {
        let table = TableAttrs::new(answer);
        if is(table.get_name().ok(), &scope.layout.table)
            && let Ok(handle) = table.get_handle()
        {
            self.table = Some((handle, table.get_flags().unwrap_or_default()));
        }
    }

    fn add_chain(&mut self, scope: &Scope, answer: &[u8]) {
        let chain = ChainAttrs::new(answer);
        let name = scope.chains.iter().find(|name| is(chain.get_name().ok(), name));
        if is(chain.get_table().ok(), &scope.layout.table)
            && let (Some(name), Ok(handle)) = (name, chain.get_handle())
        {
            let hook = chain
                .get_hook()
                .map(|hook| hook.get_buf().to_vec())
                .unwrap_or_default();
            self.chains
                .insert(name.clone(), (handle, chain.get_policy().ok(), hook));
        }
    }

    fn add_set(&mut self, scope: &Scope, answer: &[u8]) {
        let set = SetAttrs::new(answer);
        let name = scope.sets.iter().find(|name| is(set.get_name().ok(), name));
        if let (Some(name), Ok(handle)) = (name, set.get_handle()) {
            let flags = set.get_flags().unwrap_or_default();
            self.sets.insert(name.clone(), (handle, flags));
        }
    }
}

fn add_elements(elements: &mut Vec<(String, Vec<u8>)>, set: &str, answer: &[u8]) {
    for attribute in SetelemListAttrs::new(answer).flatten() {
        let SetelemListAttrs::Elements(list) = attribute else {
            continue;
        };
        for SetelemListElemAttrs::Elem(element) in list.flatten() {
            elements.push((set.to_owned(), element.get_buf().to_vec()));
        }
    }
}

fn is(name: Option<&CStr>, wanted: &str) -> bool {
    name.is_some_and(|name| name.to_bytes() == wanted.as_bytes())
}

/// A dump of what is not there is one of nothing.
fn dump(
    transport: &mut Transport,
    request: Request,
    attributes: impl FnOnce(&mut Vec<u8>),
    each: impl FnMut(&[u8]),
) -> Result<(), Errno> {
    match transport.dump(request, attributes, each) {
        Err(Errno::ENOENT) => Ok(()),
        outcome => outcome,
    }
}
