//! The base ruleset: sets, chain and rules, as one transaction that can be repeated at any time.
//!
//! Adding what is there changes nothing, so the lease sets keep their elements. The chain is emptied and
//! filled again within the transaction, so no packet ever sees it empty.

mod leases;
mod writer;

use std::collections::BTreeSet;

use nftables::batch::Batch;
use nftables::expr::{Expression, MetaKey};
use nftables::schema::{NfListObject, Table};
use nftables::stmt::{Operator, Reject, RejectType, Statement};
use nftables::types::{NfFamily, NfHook, RejectCode};

use self::writer::Writer;
use super::expression::{concat, ct_state, equals, matches, meta, payload, ports_element, text};
use super::layout::Layout;
use super::plan::{Closed, FirewallPlan, GUARD_CHAIN, GUARD_TABLE, Mode, PORT_TYPES, PROTECTED_SET};

/// Before the chains at priority `filter` (0), where ufw, firewalld and hand-written rulesets sit: a packet
/// to a closed port gets our answer and not theirs, and stays out of their logs. After destination NAT
/// (-100), so that the port is the one the service listens on, and after conntrack (-200), whose state the
/// rules ask for.
const GUARD_PRIORITY: i32 = -10;
const ACCEPT: Statement<'static> = Statement::Accept(None);

/// Everything the plan asks for, and nothing that is called as one of `stale`: what an earlier one asked for.
pub(super) fn install(plan: &FirewallPlan, layout: &Layout, stale: &[String]) -> Batch<'static> {
    let mut writer = Writer::new(&layout.table);
    match &plan.mode {
        Mode::Guard { closed } => guard(&mut writer, plan, layout, *closed),
        Mode::Chain { chain, .. } => chain_in(&mut writer, plan, layout, chain),
    }
    for set in stale {
        writer.delete_set(set);
    }
    writer.batch
}

fn guard(writer: &mut Writer, plan: &FirewallPlan, layout: &Layout, closed: Closed) {
    writer.batch.add(NfListObject::Table(table(GUARD_TABLE)));
    leases::sets(writer, layout, plan.capacity);
    let protected: BTreeSet<_> = plan.protected.iter().map(|protected| protected.ports).collect();
    let protected = protected.into_iter().map(ports_element).collect();
    writer.filled_set(PROTECTED_SET, &PORT_TYPES, protected);
    writer.base_chain(GUARD_CHAIN, NfHook::Input, GUARD_PRIORITY);
    let loopback = equals(meta(MetaKey::Iif), text("lo"));
    writer.rule(GUARD_CHAIN, "loopback", vec![loopback, ACCEPT]);
    let states = Expression::List(vec![text("established"), text("related")]);
    let open = matches(ct_state(), Operator::IN, states);
    writer.rule(GUARD_CHAIN, "open connections", vec![open, ACCEPT]);
    leases::accept(writer, layout, GUARD_CHAIN);
    let port = concat([meta(MetaKey::L4proto), payload("th", "dport")]);
    let is_protected = equals(port, text(&format!("@{PROTECTED_SET}")));
    close(writer, GUARD_CHAIN, &is_protected, closed);
}

/// What packets get that `is_closed` matches.
fn close(writer: &mut Writer, chain: &str, is_closed: &Statement<'static>, closed: Closed) {
    let is_closed = || is_closed.clone();
    match closed {
        Closed::Drop => writer.rule(chain, "closed ports", vec![is_closed(), Statement::Drop(None)]),
        Closed::Reject => {
            let tcp = equals(meta(MetaKey::L4proto), text("tcp"));
            let reset = Statement::Reject(Some(Reject::new(Some(RejectType::TCPReset), None)));
            writer.rule(chain, "closed TCP ports", vec![tcp, is_closed(), reset]);
            let code = Some(RejectCode::PortUnreach);
            let unreachable = Statement::Reject(Some(Reject::new(Some(RejectType::ICMPX), code)));
            writer.rule(chain, "closed ports", vec![is_closed(), unreachable]);
        }
    }
}

fn chain_in(writer: &mut Writer, plan: &FirewallPlan, layout: &Layout, chain: &str) {
    leases::sets(writer, layout, plan.capacity);
    writer.flush_chain(chain);
    let control: BTreeSet<_> = plan.control.iter().collect();
    for (protocol, port) in control {
        let is_control = equals(
            payload(protocol.name(), "dport"),
            Expression::Number((*port).into()),
        );
        writer.rule(chain, "control port", vec![is_control, ACCEPT]);
    }
    leases::accept(writer, layout, chain);
}

/// Deletes the guard table if that is wanted, and what is ours in a user's table: these rules, with the chain each is in,
/// and then these sets.
pub(super) fn remove<'a>(
    guard: bool,
    user: &str,
    rules: impl Iterator<Item = (&'a str, u32)>,
    sets: &[String],
) -> Batch<'static> {
    let mut writer = Writer::new(user);
    if guard {
        writer.batch.delete(NfListObject::Table(table(GUARD_TABLE)));
    }
    for (chain, handle) in rules {
        writer.delete_rule(chain, handle);
    }
    for set in sets {
        writer.delete_set(set);
    }
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

    use super::super::lease::Protocol;
    use super::super::plan::{MARK, Protected};
    use super::super::ports::PortRange;
    use super::*;

    fn commands(plan: &FirewallPlan) -> Vec<Value> {
        let document = serde_json::to_value(install(plan, &plan.layout(), &[]).to_nftables()).unwrap();
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
            protected: vec![ssh()],
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
