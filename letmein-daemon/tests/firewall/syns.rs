//! What chain mode adds for packets that begin a TCP connection, and what is left of it afterwards. What it does to packets
//! is tested end to end, in `tests/tests/established/`.

use letmein_daemon::firewall::{Firewall, FirewallError, FirewallPlan, PortRange, Protected, Protocol};

use super::packets::load_users_rules;
use super::{chain, elements, in_namespace, nft, nft_load, one};

const USERS_CHAIN: &str = "add chain inet filter forward { type filter hook forward priority filter; }\n\
                           add chain inet filter LETMEIN-FORWARD\n\
                           add rule inet filter forward jump LETMEIN-FORWARD";

fn plan(forward: bool) -> FirewallPlan {
    let range = |protocol, first, last| Protected {
        forward,
        ..PortRange {
            protocol,
            first,
            last,
        }
        .into()
    };
    FirewallPlan {
        protected: vec![
            one(Protocol::Tcp, 22),
            range(Protocol::Tcp, 7000, 7010),
            range(Protocol::Udp, 60000, 61000),
        ],
        forward_chain: "LETMEIN-FORWARD".to_owned(),
        ..chain()
    }
}

#[test]
fn the_chains_leave_all_but_syns_of_old_connections_to_the_user() {
    in_namespace(|| {
        load_users_rules(&chain());
        nft_load(USERS_CHAIN);
        let before = nft(&["-s", "-t", "list", "ruleset"]);
        Firewall::install(&plan(true)).unwrap();
        for (name, rules) in [
            (
                "letmein_syn",
                &[
                    "type filter hook input priority filter - 10; policy accept;",
                    "meta l4proto != tcp accept",
                    "accept comment \"letmein: begins nothing\"",
                    "ct state invalid,new,untracked accept",
                    "iif \"lo\" accept",
                    "ip saddr . meta l4proto . th dport @letmein_leases4 accept",
                    "tcp dport 7000-7010 ip6 saddr @letmein_leases6_tcp_7000-7010 accept",
                    "meta l4proto . th dport @letmein_protected drop",
                    "tcp dport 7000-7010 drop",
                ][..],
            ),
            (
                "letmein_syn_forward",
                &[
                    "type filter hook forward priority filter - 10; policy accept;",
                    "ct state invalid,new,untracked accept",
                    "ct original proto-dst 7000-7010 ip saddr @letmein_leases4_tcp_7000-7010 accept",
                    "ct original proto-dst 7000-7010 drop",
                ],
            ),
        ] {
            let list = nft(&["-s", "list", "chain", "inet", "filter", name]);
            let mut at = 0;
            for rule in rules {
                at += list[at..]
                    .find(rule)
                    .unwrap_or_else(|| panic!("{rule} is missing or too early in {list}"));
            }
            assert!(!list.contains("udp"), "{list}");
        }
        assert_eq!(elements("filter", "letmein_protected"), ["tcp . 22"]);

        // Only what is needed, and in the end nothing.
        Firewall::install(&plan(false)).unwrap();
        let chains = nft(&["list", "chains"]);
        assert!(
            chains.contains("letmein_syn ") && !chains.contains("letmein_syn_forward"),
            "{chains}"
        );
        let udp = FirewallPlan {
            protected: vec![one(Protocol::Udp, 51820)],
            ..chain()
        };
        Firewall::install(&udp).unwrap();
        let chains = nft(&["list", "chains"]);
        assert!(!chains.contains("letmein_"), "{chains}");
        Firewall::install(&plan(true)).unwrap();
        assert!(Firewall::remove(&udp).unwrap());
        assert_eq!(nft(&["-s", "-t", "list", "ruleset"]), before);
    });
}

#[test]
fn a_chain_of_that_name_that_is_somebody_elses_is_left_alone() {
    for theirs in [
        "add chain inet filter letmein_syn { type filter hook input priority 0; }\n\
         add rule inet filter letmein_syn accept",
        "add chain inet filter letmein_syn { type filter hook output priority 0; }",
    ] {
        in_namespace(|| {
            load_users_rules(&chain());
            nft_load(theirs);
            let before = nft(&["list", "ruleset"]);
            let error = Firewall::install(&chain()).map(drop).unwrap_err();
            assert!(matches!(error, FirewallError::ForeignRules { .. }), "{error}");
            assert_eq!(nft(&["list", "ruleset"]), before);
        });
    }
}
