//! The base ruleset: sets, chain and rules, as one transaction that can be repeated at any time.
//!
//! Adding what is there changes nothing, so the lease sets keep their elements. The chain is emptied and
//! filled again within the transaction, so no packet ever sees it empty.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use nftables::batch::Batch;
use nftables::expr::{Expression, MetaKey};
use nftables::schema::{
    Chain, Element, FlushObject, NfCmd, NfListObject, NfObject, Rule, Set, SetFlag, SetType, SetTypeValue,
    Table,
};
use nftables::stmt::{Operator, Reject, RejectType, Statement};
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook, RejectCode};

use super::expression::{ct_state, equals, matches, meta, payload, port_key, protected_element, text};
use super::lease::Protocol;
use super::plan::{Closed, FirewallPlan, GUARD_CHAIN, GUARD_TABLE, MARK, Mode, PROTECTED_SET};

/// Before the chains at priority `filter` (0), where ufw, firewalld and hand-written rulesets sit: a packet
/// to a closed port gets our answer and not theirs, and stays out of their logs. After destination NAT
/// (-100), so that the port is the one the service listens on, and after conntrack (-200), whose state the
/// rules ask for.
const GUARD_PRIORITY: i32 = -10;

/// Everything the plan asks for.
pub(super) fn install(plan: &FirewallPlan) -> Batch<'static> {
    match &plan.mode {
        Mode::Guard { closed } => guard(plan, *closed),
        Mode::Chain { table, chain } => chain_in(plan, table, chain),
    }
}

/// How many rules that are.
pub(super) fn rules(plan: &FirewallPlan) -> usize {
    let commands = install(plan).to_nftables().objects;
    let is_rule =
        |command: &&NfObject<'_>| matches!(command, NfObject::CmdObject(NfCmd::Add(NfListObject::Rule(_))));
    commands.iter().filter(is_rule).count()
}

fn guard(plan: &FirewallPlan, closed: Closed) -> Batch<'static> {
    let mut writer = Writer::new(GUARD_TABLE, GUARD_CHAIN);
    writer.batch.add(NfListObject::Table(table(GUARD_TABLE)));
    writer.lease_sets(plan);
    let protected = writer.set(PROTECTED_SET, vec![SetType::InetProto, SetType::InetService]);
    writer.batch.add(NfListObject::Set(Box::new(protected.clone())));
    writer
        .batch
        .add_cmd(NfCmd::Flush(FlushObject::Set(Box::new(protected))));
    let elements: Vec<_> = distinct(&plan.protected).map(protected_element).collect();
    if !elements.is_empty() {
        let (table, name) = (GUARD_TABLE.into(), PROTECTED_SET.into());
        let element = Element {
            family: NfFamily::INet,
            table,
            name,
            elem: elements.into(),
        };
        writer.batch.add(NfListObject::Element(element));
    }
    writer.batch.add(NfListObject::Chain(Chain {
        _type: Some(NfChainType::Filter),
        hook: Some(NfHook::Input),
        prio: Some(GUARD_PRIORITY),
        policy: Some(NfChainPolicy::Accept),
        ..writer.chain()
    }));
    writer.flush_chain();
    writer.rule("loopback", vec![equals(meta(MetaKey::Iif), text("lo")), ACCEPT]);
    let states = Expression::List(vec![text("established"), text("related")]);
    writer.rule(
        "open connections",
        vec![matches(ct_state(), Operator::IN, states), ACCEPT],
    );
    writer.accept_leases(plan);
    let is_protected = equals(port_key(vec![]), text(&format!("@{PROTECTED_SET}")));
    match closed {
        Closed::Drop => writer.rule("closed ports", vec![is_protected, Statement::Drop(None)]),
        Closed::Reject => {
            let tcp = equals(meta(MetaKey::L4proto), text("tcp"));
            let reset = Statement::Reject(Some(Reject::new(Some(RejectType::TCPReset), None)));
            writer.rule("closed TCP ports", vec![tcp, is_protected.clone(), reset]);
            let code = Some(RejectCode::PortUnreach);
            let unreachable = Statement::Reject(Some(Reject::new(Some(RejectType::ICMPX), code)));
            writer.rule("closed ports", vec![is_protected, unreachable]);
        }
    }
    writer.batch
}

fn chain_in(plan: &FirewallPlan, table: &str, chain: &str) -> Batch<'static> {
    let mut writer = Writer::new(table, chain);
    writer.lease_sets(plan);
    writer.flush_chain();
    for (protocol, port) in distinct(&plan.control) {
        let is_control = equals(payload(protocol.name(), "dport"), Expression::Number(port.into()));
        writer.rule("control port", vec![is_control, ACCEPT]);
    }
    writer.accept_leases(plan);
    writer.batch
}

/// Deletes the guard table and all that is in it.
pub(super) fn remove_guard(batch: &mut Batch<'_>) {
    batch.delete(NfListObject::Table(table(GUARD_TABLE)));
}

/// Deletes one rule of a user's table.
pub(super) fn remove_rule(batch: &mut Batch<'static>, table: &str, chain: &str, handle: u32) {
    let writer = Writer::new(table, chain);
    batch.delete(NfListObject::Rule(Rule {
        family: NfFamily::INet,
        table: writer.table,
        chain: writer.chain,
        expr: Cow::Borrowed(&[]),
        handle: Some(handle),
        index: None,
        comment: None,
    }));
}

/// Deletes one set of a user's table.
pub(super) fn remove_set(batch: &mut Batch<'static>, table: &str, name: &'static str) {
    batch.delete(NfListObject::Set(Box::new(
        Writer::new(table, "").set(name, vec![]),
    )));
}

const ACCEPT: Statement<'static> = Statement::Accept(None);

struct Writer {
    table: Cow<'static, str>,
    chain: Cow<'static, str>,
    batch: Batch<'static>,
}

impl Writer {
    fn new(table: &str, chain: &str) -> Self {
        Self {
            table: table.to_owned().into(),
            chain: chain.to_owned().into(),
            batch: Batch::new(),
        }
    }

    fn chain(&self) -> Chain<'static> {
        let (table, name) = (self.table.clone(), self.chain.clone());
        Chain {
            family: NfFamily::INet,
            table,
            name,
            ..Chain::default()
        }
    }

    fn flush_chain(&mut self) {
        let chain = self.chain();
        self.batch.add_cmd(NfCmd::Flush(FlushObject::Chain(chain)));
    }

    fn set(&self, name: &'static str, types: Vec<SetType>) -> Set<'static> {
        Set {
            family: NfFamily::INet,
            table: self.table.clone(),
            name: name.into(),
            set_type: SetTypeValue::Concatenated(types.into()),
            ..Set::default()
        }
    }

    fn lease_sets(&mut self, plan: &FirewallPlan) {
        let names = plan.sets();
        for (name, address) in [
            (names.leases4, SetType::Ipv4Addr),
            (names.leases6, SetType::Ipv6Addr),
        ] {
            let mut set = self.set(name, vec![address, SetType::InetProto, SetType::InetService]);
            set.flags = Some(HashSet::from([SetFlag::Timeout]));
            set.size = Some(plan.capacity);
            self.batch.add(NfListObject::Set(Box::new(set)));
        }
    }

    fn accept_leases(&mut self, plan: &FirewallPlan) {
        let names = plan.sets();
        for (set, family, what) in [
            (names.leases4, "ip", "IPv4 leases"),
            (names.leases6, "ip6", "IPv6 leases"),
        ] {
            let key = port_key(vec![payload(family, "saddr")]);
            self.rule(what, vec![equals(key, text(&format!("@{set}"))), ACCEPT]);
        }
    }

    fn rule(&mut self, what: &str, statements: Vec<Statement<'static>>) {
        self.batch.add(NfListObject::Rule(Rule {
            family: NfFamily::INet,
            table: self.table.clone(),
            chain: self.chain.clone(),
            expr: statements.into(),
            handle: None,
            index: None,
            comment: Some(format!("{MARK}{what}").into()),
        }));
    }
}

fn distinct(ports: &[(Protocol, u16)]) -> impl Iterator<Item = (Protocol, u16)> {
    ports.iter().copied().collect::<BTreeSet<_>>().into_iter()
}

fn table(name: &'static str) -> Table<'static> {
    Table {
        family: NfFamily::INet,
        name: name.into(),
        handle: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn commands(plan: &FirewallPlan) -> Vec<Value> {
        let document = serde_json::to_value(install(plan).to_nftables()).unwrap();
        document["nftables"].as_array().unwrap().clone()
    }

    fn position(commands: &[Value], wanted: impl Fn(&Value) -> bool) -> usize {
        commands.iter().position(wanted).expect("the command is missing")
    }

    #[test]
    fn the_guard_is_emptied_and_filled_in_one_transaction() {
        let commands = commands(&FirewallPlan {
            mode: Mode::Guard { closed: Closed::Drop },
            protected: vec![(Protocol::Tcp, 22), (Protocol::Tcp, 22)],
            control: vec![],
            capacity: 8,
        });
        let flush = position(&commands, |command| !command["flush"]["chain"].is_null());
        let drop = position(&commands, |command| {
            let expr = command["add"]["rule"]["expr"].as_array();
            expr.is_some_and(|expr| expr.contains(&json!({"drop": null})))
        });
        assert!(flush < drop);
        let element = position(&commands, |command| !command["add"]["element"].is_null());
        assert_eq!(
            commands[element]["add"]["element"]["elem"],
            json!([{"concat": ["tcp", 22]}])
        );
        assert!(
            commands.iter().all(|command| command["delete"].is_null()),
            "{commands:?}"
        );
        assert!(
            commands
                .iter()
                .all(|command| command["flush"]["set"]["name"] != "leases4")
        );
    }

    #[test]
    fn a_users_table_gets_only_our_sets_and_our_chains_rules() {
        let commands = commands(&FirewallPlan {
            mode: Mode::Chain {
                table: "filter".to_owned(),
                chain: "LETMEIN-INPUT".to_owned(),
            },
            protected: vec![(Protocol::Tcp, 22)],
            control: vec![(Protocol::Udp, 5800)],
            capacity: 8,
        });
        for command in &commands {
            let rule = &command["add"]["rule"];
            let set = command["add"]["set"]["name"].as_str().unwrap_or_default();
            let flushed = &command["flush"]["chain"]["name"];
            assert!(
                rule["chain"] == "LETMEIN-INPUT" || set.starts_with("letmein_") || flushed == "LETMEIN-INPUT",
                "{command}"
            );
            assert!(
                rule.is_null()
                    || rule["comment"]
                        .as_str()
                        .is_some_and(|text| text.starts_with(MARK))
            );
        }
    }
}
