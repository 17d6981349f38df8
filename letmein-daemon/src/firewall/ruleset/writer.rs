//! Writing a batch for one table: objects in the table's family, and rules with our mark.

use std::borrow::Cow;
use std::collections::HashSet;

use nftables::batch::Batch;
use nftables::expr::Expression;
use nftables::schema::{
    Chain, Element, FlushObject, NfCmd, NfListObject, Rule, Set, SetFlag, SetType, SetTypeValue,
};
use nftables::stmt::Statement;
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook};

use super::super::listing::Stale;
use super::super::plan::{Hook, MARK};

pub(super) struct Writer {
    table: Cow<'static, str>,
    pub batch: Batch<'static>,
}

impl Writer {
    pub(super) fn new(table: &str) -> Self {
        Self {
            table: table.to_owned().into(),
            batch: Batch::new(),
        }
    }

    fn chain(&self, name: &str) -> Chain<'static> {
        Chain {
            family: NfFamily::INet,
            table: self.table.clone(),
            name: name.to_owned().into(),
            ..Chain::default()
        }
    }

    /// A chain at a hook, which accepts what none of its rules decides about; new or emptied.
    pub(super) fn base_chain(&mut self, name: &str, hook: Hook, priority: i32) {
        let hook = match hook {
            Hook::Input => NfHook::Input,
            Hook::Forward => NfHook::Forward,
            Hook::Output => NfHook::Output,
            Hook::Postrouting => NfHook::Postrouting,
        };
        self.batch.add(NfListObject::Chain(Chain {
            _type: Some(NfChainType::Filter),
            hook: Some(hook),
            prio: Some(priority),
            policy: Some(NfChainPolicy::Accept),
            ..self.chain(name)
        }));
        self.flush_chain(name);
    }

    pub(super) fn flush_chain(&mut self, name: &str) {
        let chain = self.chain(name);
        self.batch.add_cmd(NfCmd::Flush(FlushObject::Chain(chain)));
    }

    fn set(&self, name: &str, types: &[&str]) -> Set<'static> {
        let types: Vec<_> = types
            .iter()
            .filter_map(|name| name.parse::<SetType>().ok())
            .collect();
        Set {
            family: NfFamily::INet,
            table: self.table.clone(),
            name: name.to_owned().into(),
            set_type: match types[..] {
                [only] => SetTypeValue::Single(only),
                _ => SetTypeValue::Concatenated(types.into()),
            },
            ..Set::default()
        }
    }

    /// A set whose elements end by themselves; what is in it stays.
    pub(super) fn timed_set(&mut self, name: &str, types: &[&str], capacity: u32) {
        let mut set = self.set(name, types);
        set.flags = Some(HashSet::from([SetFlag::Timeout]));
        set.size = Some(capacity);
        self.batch.add(NfListObject::Set(Box::new(set)));
    }

    /// A set with these elements and no others.
    pub(super) fn filled_set(&mut self, name: &str, types: &[&str], elements: Vec<Expression<'static>>) {
        let set = self.set(name, types);
        self.batch.add(NfListObject::Set(Box::new(set.clone())));
        self.batch.add_cmd(NfCmd::Flush(FlushObject::Set(Box::new(set))));
        if !elements.is_empty() {
            self.batch.add(NfListObject::Element(Element {
                family: NfFamily::INet,
                table: self.table.clone(),
                name: name.to_owned().into(),
                elem: elements.into(),
            }));
        }
    }

    /// Deletes rules, then the chains that others may have jumped from, then the sets that they looked into.
    pub(super) fn delete(&mut self, stale: &Stale) {
        for (chain, handle) in &stale.rules {
            let rule = self.any_rule(chain, vec![]);
            self.batch.delete(NfListObject::Rule(Rule {
                handle: Some(*handle),
                ..rule
            }));
        }
        for name in &stale.chains {
            self.flush_chain(name);
            self.batch.delete(NfListObject::Chain(self.chain(name)));
        }
        for name in &stale.sets {
            let set = self.set(name, &[]);
            self.batch.delete(NfListObject::Set(Box::new(set)));
        }
    }

    pub(super) fn rule(&mut self, chain: &str, what: &str, statements: Vec<Statement<'static>>) {
        self.batch.add(NfListObject::Rule(Rule {
            comment: Some(format!("{MARK}{what}").into()),
            ..self.any_rule(chain, statements)
        }));
    }

    fn any_rule(&self, chain: &str, statements: Vec<Statement<'static>>) -> Rule<'static> {
        Rule {
            family: NfFamily::INet,
            table: self.table.clone(),
            chain: chain.to_owned().into(),
            expr: statements.into(),
            handle: None,
            index: None,
            comment: None,
        }
    }
}
