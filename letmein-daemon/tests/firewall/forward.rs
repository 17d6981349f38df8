//! What services behind this machine add to the rules, and what is left of it afterwards. What the rules do to packets is
//! tested end to end, in `tests/tests/resources/forward.rs`.

use letmein_daemon::firewall::{
    Closed, Firewall, FirewallError, FirewallPlan, Hook, PortRange, Protected, Protocol,
};

use super::packets::load_users_rules;
use super::{HOUR, chain, elements, guard, in_namespace, nft, nft_load, one, ssh};

fn forwarding(plan: FirewallPlan) -> FirewallPlan {
    let range = PortRange {
        protocol: Protocol::Udp,
        first: 60000,
        last: 61000,
    };
    let ports = [PortRange::one(Protocol::Tcp, 22), range];
    FirewallPlan {
        protected: ports
            .map(|ports| Protected {
                forward: true,
                ..ports.into()
            })
            .into(),
        inside: vec!["br-*".to_owned()],
        forward_chain: "LETMEIN-FORWARD".to_owned(),
        ..plan
    }
}

const USERS_CHAIN: &str = "add chain inet filter forward { type filter hook forward priority filter; }\n\
                           add chain inet filter LETMEIN-FORWARD\n\
                           add rule inet filter forward jump LETMEIN-FORWARD";

#[test]
fn the_guard_goes_by_the_port_that_was_asked_for() {
    in_namespace(|| {
        Firewall::install(&forwarding(guard(Closed::Drop))).unwrap();
        assert_eq!(elements("letmein", "forwarded"), ["tcp . 22"]);
        let rules = nft(&["-s", "list", "chain", "inet", "letmein", "forward"]);
        let mut at = 0;
        for rule in [
            "type filter hook forward priority filter - 10; policy accept;",
            "iifname \"br-*\" accept",
            "ct state established accept comment \"letmein: open TCP connections\"",
            "meta l4proto != tcp ct state established accept",
            "meta l4proto . ct original proto-dst @forwarded ip saddr . meta l4proto . ct original proto-dst @leases4 accept",
            "ct original proto-dst 60000-61000 ip saddr @leases4_udp_60000-61000 accept",
            "meta l4proto . ct original proto-dst @forwarded drop",
            "ct original proto-dst 60000-61000 drop",
            "ct state invalid,untracked meta l4proto . th dport @forwarded drop",
            "ct state invalid,untracked udp dport 60000-61000 drop",
        ] {
            at += rules[at..]
                .find(rule)
                .unwrap_or_else(|| panic!("{rule} is missing or too early in {rules}"));
        }
        // Renewed as it is.
        Firewall::install(&forwarding(guard(Closed::Drop))).unwrap();
        assert_eq!(nft(&["-s", "list", "chain", "inet", "letmein", "forward"]), rules);
    });
}

#[test]
fn nothing_is_left_when_nothing_is_forwarded_any_more() {
    for plan in [guard(Closed::Drop), chain()] {
        in_namespace(move || {
            load_users_rules(&plan);
            if plan.mode != guard(Closed::Drop).mode {
                nft_load(USERS_CHAIN);
            }
            let mut without = forwarding(plan.clone());
            for protected in &mut without.protected {
                protected.forward = false;
            }
            Firewall::install(&without).unwrap();
            let before = nft(&["-s", "-t", "list", "ruleset"]);
            Firewall::install(&forwarding(plan.clone()))
                .unwrap()
                .open(&[ssh("192.0.2.1")], HOUR)
                .unwrap();
            assert_ne!(nft(&["-s", "-t", "list", "ruleset"]), before);
            let mut firewall = Firewall::install(&without).unwrap();
            assert_eq!(nft(&["-s", "-t", "list", "ruleset"]), before);
            assert_eq!(firewall.leases().unwrap().len(), 1);
        });
    }
}

#[test]
fn removing_leaves_no_trace_in_the_forward_hook() {
    for plan in [guard(Closed::Drop), chain()] {
        in_namespace(move || {
            load_users_rules(&plan);
            if plan.mode != guard(Closed::Drop).mode {
                nft_load(USERS_CHAIN);
            }
            let before = nft(&["list", "ruleset"]);
            Firewall::install(&forwarding(plan.clone())).unwrap();
            assert_ne!(nft(&["list", "ruleset"]), before);
            assert!(
                Firewall::remove(&FirewallPlan {
                    protected: vec![one(Protocol::Tcp, 1)],
                    ..plan
                })
                .unwrap()
            );
            assert_eq!(nft(&["list", "ruleset"]), before);
        });
    }
}

#[test]
fn a_chain_that_is_missing_or_of_the_wrong_kind_is_named_and_nothing_is_changed() {
    in_namespace(|| {
        load_users_rules(&chain());
        let before = nft(&["list", "ruleset"]);
        let refused = |plan: &FirewallPlan| {
            let error = Firewall::install(plan).map(drop).unwrap_err();
            (error.to_string(), error)
        };
        let plan = forwarding(chain());
        let (text, error) = refused(&plan);
        assert!(
            matches!(
                error,
                FirewallError::NoChain {
                    hook: Hook::Forward,
                    ..
                }
            ),
            "{text}"
        );
        assert!(
            text.contains("`jump LETMEIN-FORWARD` to its forward chain"),
            "{text}"
        );
        assert_eq!(nft(&["list", "ruleset"]), before);

        nft_load(USERS_CHAIN);
        let before = nft(&["list", "ruleset"]);
        let at_the_hook = FirewallPlan {
            forward_chain: "forward".to_owned(),
            ..plan.clone()
        };
        let (text, error) = refused(&at_the_hook);
        assert!(matches!(error, FirewallError::BaseChain { .. }), "{text}");
        nft_load("add rule inet filter LETMEIN-FORWARD tcp dport 1 accept");
        let (text, error) = refused(&plan);
        assert!(matches!(error, FirewallError::ForeignRules { .. }), "{text}");
        nft_load("flush chain inet filter LETMEIN-FORWARD");
        assert_eq!(nft(&["list", "ruleset"]), before);
        Firewall::install(&plan).unwrap();
    });
}

#[test]
fn a_guard_whose_forward_chain_is_somebody_elses_is_left_alone() {
    in_namespace(|| {
        nft_load(
            "add table inet letmein\nadd chain inet letmein forward { type filter hook output priority 0; }",
        );
        let before = nft(&["list", "ruleset"]);
        let error = Firewall::install(&forwarding(guard(Closed::Drop)))
            .map(drop)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("its chain `forward` is not at the forward hook"),
            "{error}"
        );
        assert_eq!(nft(&["list", "ruleset"]), before);
    });
}
