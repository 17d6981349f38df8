//! Jumps into chains of the user's: who is sent there at which hook, and what is refused.

use std::net::IpAddr;

use letmein_common::ResourceId;
use letmein_daemon::firewall::{Closed, Firewall, FirewallError, FirewallPlan, Hook, Jump, JumpTo, LeaseKey};

use super::packets::{ANSWER, Client, GUEST, GUEST6, SILENCE, STRANGER, listen};
use super::{HOUR, chain, elements, guard, in_namespace, nft, nft_load, ssh};

/// Closes everything but what the chains let through, and closes the way back of port 25 besides.
const RULES: &str = "
add table inet filter
add chain inet filter input { type filter hook input priority filter; policy drop; }
add chain inet filter output { type filter hook output priority filter; policy accept; }
add chain inet filter forward { type filter hook forward priority filter; policy accept; }
add chain inet filter LETMEIN-INPUT
add chain inet filter LETMEIN-OUTPUT
add chain inet filter LETMEIN-FORWARD
add chain inet filter MINE
add chain inet filter BACK
add rule inet filter input meta l4proto ipv6-icmp accept
add rule inet filter input ct state established accept
add rule inet filter input jump LETMEIN-INPUT
add rule inet filter input tcp dport 25 accept
add rule inet filter output jump LETMEIN-OUTPUT
add rule inet filter output tcp sport 25 drop
add rule inet filter forward jump LETMEIN-FORWARD
add rule inet filter MINE tcp dport 24 accept
add rule inet filter BACK tcp sport 25 accept";

fn jump(hook: Hook, to: &str, for_all: bool) -> JumpTo {
    JumpTo {
        hook,
        chain: to.to_owned(),
        for_all,
    }
}

fn plan(to: Vec<JumpTo>) -> FirewallPlan {
    let jump = Jump {
        resource: ResourceId(0x1A),
        ipv6_prefix: 64,
        to,
    };
    FirewallPlan {
        forward_chain: "LETMEIN-FORWARD".to_owned(),
        output_chain: "LETMEIN-OUTPUT".to_owned(),
        jumps: vec![jump],
        ..chain()
    }
}

fn leases(plan: &FirewallPlan, address: &str) -> Vec<LeaseKey> {
    let address: IpAddr = address.parse().unwrap();
    let jump = &plan.jumps[0];
    jump.leases(address)
        .map(|key| key.in_prefix(jump.ipv6_prefix))
        .collect()
}

fn opens(client: &Client, from: &'static str, port: u16) -> bool {
    client.connect(from, port, SILENCE).is_ok()
}

#[test]
fn a_jump_is_for_packets_from_who_holds_the_lease_and_in_output_to_them() {
    in_namespace(|| {
        let client = Client::new();
        let _services = (listen(24), listen(25));
        nft_load(RULES);
        let plan = plan(vec![
            jump(Hook::Input, "MINE", false),
            jump(Hook::Output, "BACK", false),
        ]);
        let mut firewall = Firewall::install(&plan).unwrap();
        for port in [24, 25] {
            for from in [GUEST, GUEST6, STRANGER] {
                assert!(!opens(&client, from, port), "{from} {port}");
            }
        }
        for holder in [GUEST, GUEST6] {
            let keys = leases(&plan, holder);
            firewall.open(&keys, HOUR).unwrap();
            for port in [24, 25] {
                client
                    .connect(holder, port, ANSWER)
                    .expect("the chain accepts it");
                assert!(!opens(&client, STRANGER, port));
            }
            assert_eq!(firewall.leases().unwrap()[0].key, keys[0]);
            // The next run goes on with it.
            firewall = Firewall::install(&plan).unwrap();
            client.connect(holder, 24, ANSWER).expect("the lease lives");
            assert_eq!(firewall.close(&keys).unwrap(), keys.len());
            assert!(!opens(&client, holder, 24));
        }
    });
}

#[test]
fn a_jump_for_all_is_for_everybody_as_long_as_it_is_leased() {
    in_namespace(|| {
        let client = Client::new();
        let _services = (listen(24), listen(25));
        nft_load(RULES);
        let plan = plan(vec![
            jump(Hook::Input, "MINE", true),
            jump(Hook::Output, "BACK", false),
        ]);
        let mut firewall = Firewall::install(&plan).unwrap();
        let keys = leases(&plan, GUEST);
        firewall.open(&keys, HOUR).unwrap();
        for from in [GUEST, STRANGER, GUEST6] {
            client.connect(from, 24, ANSWER).expect("the jump is for all");
        }
        client.connect(GUEST, 25, ANSWER).expect("the lease is theirs");
        assert!(!opens(&client, STRANGER, 25), "the other jump is not for all");
        let mut read: Vec<_> = firewall.leases().unwrap().iter().map(|lease| lease.key).collect();
        read.sort();
        let mut wanted = keys.clone();
        wanted.sort();
        assert_eq!(read, wanted);
        firewall.close(&keys).unwrap();
        for from in [GUEST, STRANGER, GUEST6] {
            assert!(!opens(&client, from, 24), "{from}");
        }
    });
}

#[test]
fn jumps_are_renewed_and_leave_no_trace() {
    in_namespace(|| {
        nft_load(RULES);
        let before = nft(&["list", "ruleset"]);
        let plan = plan(vec![
            jump(Hook::Input, "MINE", false),
            jump(Hook::Forward, "MINE", true),
            jump(Hook::Output, "BACK", false),
        ]);
        let mut keys = leases(&plan, GUEST);
        keys.push(ssh(GUEST));
        Firewall::install(&plan).unwrap().open(&keys, HOUR).unwrap();
        let with_it = nft(&["-s", "-t", "list", "ruleset"]);
        Firewall::install(&plan).unwrap();
        assert_eq!(nft(&["-s", "-t", "list", "ruleset"]), with_it);
        assert_eq!(elements("filter", "letmein_jump4_0000001A"), [GUEST]);
        assert_eq!(elements("filter", "letmein_jump4_0_0000001A"), ["0.0.0.0"]);

        // Without the resource, nothing of it is left but the lease of something else.
        let mut firewall = Firewall::install(&chain()).unwrap();
        let rules = nft(&["list", "ruleset"]);
        assert!(
            !rules.contains("_jump") && !rules.contains("jump MINE"),
            "{rules}"
        );
        assert_eq!(firewall.leases().unwrap().len(), 1);

        Firewall::install(&plan).unwrap().open(&keys, HOUR).unwrap();
        assert!(Firewall::remove(&chain()).unwrap());
        assert_eq!(nft(&["list", "ruleset"]), before);
    });
}

#[test]
fn a_jump_that_cannot_be_is_refused_and_nothing_is_changed() {
    in_namespace(|| {
        nft_load(RULES);
        nft_load(
            "add table ip other\nadd chain ip other ELSEWHERE\nadd chain inet filter LOOP\nadd rule inet filter LOOP jump LETMEIN-INPUT",
        );
        let before = nft(&["list", "ruleset"]);
        let refused = |to| {
            let error = Firewall::install(&plan(vec![jump(Hook::Input, to, false)]))
                .map(drop)
                .unwrap_err();
            assert_eq!(nft(&["list", "ruleset"]), before, "{to}");
            error
        };
        let error = refused("NOWHERE");
        assert!(matches!(error, FirewallError::NoJumpTarget { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains("no chain `NOWHERE`, which resource 0000001A jumps to"),
            "{error}"
        );
        // There is one of that name, in a table of another family.
        let error = refused("ELSEWHERE");
        assert!(matches!(error, FirewallError::NoJumpTarget { .. }), "{error}");
        let error = refused("forward");
        assert!(error.to_string().contains("which is a base chain"), "{error}");
        let error = refused("LETMEIN-INPUT");
        assert!(error.to_string().contains("which is letmeind's own"), "{error}");
        // What only nft notices.
        let error = refused("LOOP");
        assert!(matches!(error, FirewallError::Nft { .. }), "{error}");

        let in_guard = FirewallPlan {
            jumps: plan(vec![jump(Hook::Input, "MINE", false)]).jumps,
            ..guard(Closed::Drop)
        };
        let error = Firewall::install(&in_guard).map(drop).unwrap_err();
        assert!(matches!(error, FirewallError::JumpInGuard { .. }), "{error}");
        assert_eq!(nft(&["list", "ruleset"]), before);
    });
}
