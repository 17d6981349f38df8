//! What ending connections adds to the rules, and what is left of it afterwards. What it does to connections is tested end
//! to end, in `tests/tests/resources/cut.rs`.

use letmein_daemon::firewall::{
    Closed, Firewall, FirewallError, FirewallPlan, PortRange, Protected, Protocol,
};

use super::packets::load_users_rules;
use super::{chain, elements, guard, in_namespace, nft, nft_load, ssh};

fn cutting(plan: FirewallPlan) -> FirewallPlan {
    let range = PortRange {
        protocol: Protocol::Udp,
        first: 60000,
        last: 61000,
    };
    let ports = [PortRange::one(Protocol::Tcp, 22), range];
    FirewallPlan {
        protected: ports
            .map(|ports| Protected {
                cut: true,
                ..ports.into()
            })
            .into(),
        ..plan
    }
}

#[test]
fn the_chain_comes_and_goes_with_the_option_and_is_renewed() {
    for (plan, table, begin) in [
        (guard(Closed::Drop), "letmein", ""),
        (chain(), "filter", "letmein_"),
    ] {
        in_namespace(move || {
            load_users_rules(&plan);
            let mut without = cutting(plan.clone());
            for protected in &mut without.protected {
                protected.cut = false;
            }
            Firewall::install(&without).unwrap();
            let before = nft(&["-s", "-t", "list", "ruleset"]);
            Firewall::install(&cutting(plan.clone())).unwrap();
            let rules = nft(&["-s", "list", "chain", "inet", table, &format!("{begin}cut")]);
            for rule in [
                "type filter hook postrouting priority 300; policy accept;",
                "oif \"lo\" accept",
                &format!("meta l4proto . th sport @{begin}cut_ports ct state invalid,new"),
                &format!("ip daddr . udp dport . udp sport @{begin}cut_flows4 drop"),
                &format!("ip6 daddr . udp dport . udp sport @{begin}cut_flows6 drop"),
            ] {
                assert!(rules.contains(rule), "{rule} is missing in {rules}");
            }
            assert_eq!(elements(table, &format!("{begin}cut_ports")), ["tcp . 22"]);
            let with_it = nft(&["-s", "-t", "list", "ruleset"]);
            Firewall::install(&cutting(plan.clone())).unwrap();
            assert_eq!(nft(&["-s", "-t", "list", "ruleset"]), with_it);
            Firewall::install(&without).unwrap();
            assert_eq!(nft(&["-s", "-t", "list", "ruleset"]), before);
        });
    }
}

#[test]
fn removing_leaves_no_trace_of_cuts() {
    for plan in [guard(Closed::Drop), chain()] {
        in_namespace(move || {
            load_users_rules(&plan);
            let before = nft(&["list", "ruleset"]);
            let mut firewall = Firewall::install(&cutting(plan.clone())).unwrap();
            assert_eq!(firewall.cut(&[ssh("192.0.2.1"), ssh("2001:db8::1")]).unwrap(), 0);
            // By a plan that knows nothing of them.
            assert!(Firewall::remove(&plan).unwrap());
            assert_eq!(nft(&["list", "ruleset"]), before);
        });
    }
}

#[test]
fn a_chain_of_that_name_that_is_somebody_elses_is_left_alone() {
    in_namespace(|| {
        load_users_rules(&chain());
        nft_load(
            "add chain inet filter letmein_cut { type filter hook postrouting priority 300; }\nadd rule inet filter letmein_cut accept",
        );
        let before = nft(&["list", "ruleset"]);
        let error = Firewall::install(&cutting(chain())).map(drop).unwrap_err();
        assert!(matches!(error, FirewallError::ForeignRules { .. }), "{error}");
        assert_eq!(nft(&["list", "ruleset"]), before);
    });
}
