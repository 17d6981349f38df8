//! The base ruleset: sets, chain and rules, as one transaction that can be repeated at any time.
//!
//! Adding what is there changes nothing, so the lease sets keep their elements. The chain is emptied and
//! filled again within the transaction, so no packet ever sees it empty.

mod cut;
mod forward;
mod leases;
mod syn;
mod writer;

use std::collections::BTreeSet;

use nftables::batch::Batch;
use nftables::expr::{Expression, MetaKey};
use nftables::schema::{Element, NfCmd, NfListObject, NfObject, Table};
use nftables::stmt::{Reject, RejectType, Statement};
use nftables::types::{NfFamily, RejectCode};

use self::writer::Writer;
use super::expression::{concat, equals, in_range, meta, payload, ports_element, text};
use super::layout::Layout;
use super::lease::{Lease, Protocol};
use super::listing::Stale;
use super::plan::{Closed, FirewallPlan, GUARD_TABLE, Hook, Mode, PORT_TYPES, PROTECTED_SET};

/// Before the chains at priority `filter` (0), where ufw, firewalld and hand-written rulesets sit: a packet
/// to a closed port gets our answer and not theirs, and stays out of their logs. After destination NAT
/// (-100), so that the port is the one the service listens on, and after conntrack (-200), whose state the
/// rules ask for.
const GUARD_PRIORITY: i32 = -10;
const ACCEPT: Statement<'static> = Statement::Accept(None);

/// Everything the plan asks for, without what an earlier one asked for.
pub(super) fn install(plan: &FirewallPlan, layout: &Layout, stale: &Stale) -> Batch<'static> {
    let mut writer = Writer::new(&layout.table);
    if let Mode::Guard { .. } = plan.mode {
        writer.batch.add(NfListObject::Table(table(GUARD_TABLE)));
    }
    leases::sets(&mut writer, layout, plan.capacity);
    for (name, ports) in layout.port_sets() {
        let elements = ports.iter().copied().map(ports_element).collect();
        writer.filled_set(&name, &PORT_TYPES, elements);
    }
    for (hook, chain) in plan.chains() {
        match &plan.mode {
            Mode::Guard { .. } => writer.base_chain(chain, hook, GUARD_PRIORITY),
            Mode::Chain { .. } => writer.flush_chain(chain),
        }
        match hook {
            Hook::Input => input(&mut writer, plan, layout, chain),
            Hook::Forward => forward::rules(&mut writer, plan, layout, chain),
            Hook::Output | Hook::Postrouting => leases::jump(&mut writer, layout, plan, hook, chain),
        }
    }
    syn::install(&mut writer, plan, layout);
    cut::install(&mut writer, plan, layout);
    writer.delete(stale);
    writer.batch
}

/// Opens leases in the same transaction. They last a little longer than they should: nft counts in whole seconds.
pub(super) fn open(batch: &mut Batch<'static>, layout: &Layout, leases: &[Lease]) {
    for lease in leases {
        let set = layout.set_of(&lease.key);
        batch.add(NfListObject::Element(Element {
            family: NfFamily::INet,
            table: layout.table.clone().into(),
            name: layout.name(set).into(),
            elem: vec![leases::element(set, lease)].into(),
        }));
    }
}

/// How many rules that are.
pub(super) fn rules(plan: &FirewallPlan, layout: &Layout) -> usize {
    let commands = install(plan, layout, &Stale::default()).to_nftables().objects;
    let is_rule =
        |command: &&NfObject<'_>| matches!(command, NfObject::CmdObject(NfCmd::Add(NfListObject::Rule(_))));
    commands.iter().filter(is_rule).count()
}

fn input(writer: &mut Writer, plan: &FirewallPlan, layout: &Layout, chain: &str) {
    match plan.mode {
        Mode::Guard { .. } => {
            accept_loopback(writer, chain);
            syn::accept_open(writer, chain);
        }
        Mode::Chain { .. } => {
            for (protocol, port) in plan.control.iter().collect::<BTreeSet<_>>() {
                let port = Expression::Number((*port).into());
                let is_control = equals(payload(protocol.name(), "dport"), port);
                writer.rule(chain, "control port", vec![is_control, ACCEPT]);
            }
        }
    }
    leases::jump(writer, layout, plan, Hook::Input, chain);
    leases::accept(writer, layout, chain, &Protocol::ALL);
    if let Mode::Guard { closed } = plan.mode {
        close_protected(writer, plan, layout, chain, closed, &Protocol::ALL);
    }
}

fn accept_loopback(writer: &mut Writer, chain: &str) {
    let loopback = equals(meta(MetaKey::Iif), text("lo"));
    writer.rule(chain, "loopback", vec![loopback, ACCEPT]);
}

/// Closes all protected ports of these protocols in a chain of the input hook.
fn close_protected(
    writer: &mut Writer,
    plan: &FirewallPlan,
    layout: &Layout,
    chain: &str,
    closed: Closed,
    protocols: &[Protocol],
) {
    let port = concat([meta(MetaKey::L4proto), payload("th", "dport")]);
    let is_protected = equals(port, set(layout, PROTECTED_SET));
    close(writer, chain, closed, None, &[is_protected]);
    for range in plan.ranges(|protected| protocols.contains(&protected.ports.protocol)) {
        let is_protected = in_range(payload(range.protocol.name(), "dport"), range);
        close(writer, chain, closed, Some(range.protocol), &[is_protected]);
    }
}

/// What packets get that meet all of these conditions. `protocol` says that the conditions are for one alone.
fn close(
    writer: &mut Writer,
    chain: &str,
    closed: Closed,
    protocol: Option<Protocol>,
    conditions: &[Statement<'static>],
) {
    let mut rule = |what, protocol: Option<Protocol>, last| {
        let first = protocol.map(is_protocol).into_iter();
        let statements = first.chain(conditions.iter().cloned()).chain([last]);
        writer.rule(chain, what, statements.collect());
    };
    if closed == Closed::Drop {
        rule("closed ports", protocol, Statement::Drop(None));
        return;
    }
    if protocol != Some(Protocol::Udp) {
        let reset = Statement::Reject(Some(Reject::new(Some(RejectType::TCPReset), None)));
        rule("closed TCP ports", Some(Protocol::Tcp), reset);
    }
    if protocol != Some(Protocol::Tcp) {
        let code = Some(RejectCode::PortUnreach);
        let unreachable = Statement::Reject(Some(Reject::new(Some(RejectType::ICMPX), code)));
        rule("closed ports", protocol, unreachable);
    }
}

fn is_protocol(protocol: Protocol) -> Statement<'static> {
    equals(meta(MetaKey::L4proto), text(protocol.name()))
}

/// `@set`, for one of ours.
fn set(layout: &Layout, name: impl std::fmt::Display) -> Expression<'static> {
    text(&format!("@{}", layout.name(name)))
}

/// Deletes the guard table if that is wanted, and this in a user's table.
pub(super) fn remove(guard: bool, user: &str, ours: &Stale) -> Batch<'static> {
    let mut writer = Writer::new(user);
    if guard {
        writer.batch.delete(NfListObject::Table(table(GUARD_TABLE)));
    }
    writer.delete(ours);
    writer.batch
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

    use super::super::plan::{MARK, Protected};
    use super::super::ports::PortRange;
    use super::*;

    fn commands(plan: &FirewallPlan) -> Vec<Value> {
        let document =
            serde_json::to_value(install(plan, &plan.layout(), &Stale::default()).to_nftables()).unwrap();
        document["nftables"].as_array().unwrap().clone()
    }

    fn ssh() -> Protected {
        PortRange::one(Protocol::Tcp, 22).into()
    }

    fn position(commands: &[Value], wanted: impl Fn(&Value) -> bool) -> usize {
        commands.iter().position(wanted).expect("the command is missing")
    }

    #[test]
    fn the_guard_is_emptied_and_filled_in_one_transaction() {
        let commands = commands(&FirewallPlan {
            mode: Mode::Guard { closed: Closed::Drop },
            protected: vec![ssh(), ssh()],
            control: vec![],
            capacity: 8,
            ..FirewallPlan::default()
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
    fn a_users_table_gets_only_our_sets_and_our_chains() {
        let commands = commands(&FirewallPlan {
            mode: Mode::Chain {
                table: "filter".to_owned(),
                chain: "LETMEIN-INPUT".to_owned(),
            },
            protected: vec![ssh()],
            control: vec![(Protocol::Udp, 5800)],
            capacity: 8,
            ..FirewallPlan::default()
        });
        for command in &commands {
            let rule = &command["add"]["rule"];
            let set = command["add"]["set"]["name"].as_str().unwrap_or_default();
            let filled = command["add"]["element"]["name"].as_str().unwrap_or_default();
            let emptied = command["flush"]["set"]["name"].as_str().unwrap_or_default();
            let is_our_set = [set, filled, emptied]
                .iter()
                .any(|name| name.starts_with("letmein_"));
            let chains = [
                &rule["chain"],
                &command["flush"]["chain"]["name"],
                &command["add"]["chain"]["name"],
            ];
            let is_our_chain = |chain: &&Value| **chain == "LETMEIN-INPUT" || **chain == "letmein_syn";
            assert!(chains.iter().any(is_our_chain) || is_our_set, "{command}");
            assert_ne!(command["add"]["chain"]["name"], "LETMEIN-INPUT");
            assert!(
                rule.is_null()
                    || rule["comment"]
                        .as_str()
                        .is_some_and(|text| text.starts_with(MARK))
            );
        }
    }
}
