//! What a resource cannot be: letmeind says so and changes nothing.

use super::{SERVER, alice, configuration, gate};
use letmein_tests::{gate::Gate, lab::Lab, nft::leases};

const SSH: &str = "[resources.ssh]\nid = \"00000001\"\nports = [\"tcp/22\"]\n";
const CHAIN: &str = "mode = \"chain\"";
/// A user's table with the chains that letmeind may have, and others that it may not.
const RULES: &str = "table inet filter {
    chain input { type filter hook input priority filter; policy accept;
        jump LETMEIN-INPUT;
    }
    chain LETMEIN-INPUT { }
    chain TAKEN { tcp dport 1 accept;
    }
    chain LOOP { jump LETMEIN-INPUT;
    }
}
table ip other {
    chain ELSEWHERE { }
}";

/// Does not start, says this, and leaves the rules as they are.
#[track_caller]
fn refused(rules: &str, firewall: &str, resources: &str, said: &[&str]) {
    let lab = Lab::new().unwrap();
    if !rules.is_empty() {
        lab.server.run("nft", &[rules]).unwrap();
    }
    let listed = || lab.server.run("nft", &["list", "ruleset"]).unwrap();
    let before = listed();
    let failure = Gate::fail_with(&lab.server, &configuration(firewall, resources)).unwrap();
    assert_eq!(failure.code, Some(1));
    for part in said {
        assert!(
            failure.error().unwrap().contains(part),
            "{part:?} in {}",
            failure.log
        );
    }
    assert_eq!(listed(), before);
}

#[test]
fn the_control_port() {
    let range = SSH.replace("tcp/22", "udp/5000-6000");
    let said = ["letmeind.toml:7:10: resource \"ssh\" uses udp/5000-6000, which includes the control port"];
    refused("", "", &range, &said);
}

#[test]
fn ports_of_another_resource() {
    let other = "[resources.other]\nid = \"00000002\"\nports = [\"tcp/20-30\"]";
    let said = [
        "letmeind.toml:10:10: resource \"other\" uses tcp/20-30, which overlaps tcp/22 of resource \"ssh\" (line 7)",
    ];
    refused("", "", &format!("{SSH}{other}"), &said);
}

#[test]
fn a_chain_that_is_not_there() {
    let forward = format!("{SSH}forward = true");
    let said = [
        "has no chain `LETMEIN-FORWARD`",
        "`jump LETMEIN-FORWARD` to its forward chain",
    ];
    refused(RULES, CHAIN, &forward, &said);
    let jump = format!("{SSH}jump-input = \"NOWHERE\"");
    refused(
        RULES,
        CHAIN,
        &jump,
        &["no chain `NOWHERE`, which resource 00000001 jumps to"],
    );
}

#[test]
fn a_chain_of_the_wrong_kind() {
    for (chain, said) in [
        ("input", "which is a base chain"),
        // Of another family, so in another table.
        ("ELSEWHERE", "no chain `ELSEWHERE`"),
        ("LOOP", "nft failed while installing the rules"),
    ] {
        refused(RULES, CHAIN, &format!("{SSH}jump-input = \"{chain}\""), &[said]);
    }
    let forward = format!("{SSH}forward = true");
    let with = |chain| format!("{CHAIN}\nforward-chain = \"{chain}\"");
    refused(RULES, &with("input"), &forward, &["is a base chain"]);
    refused(
        RULES,
        &with("TAKEN"),
        &forward,
        &["holds rules that letmeind did not write"],
    );
    let said = ["table `inet other` does not exist"];
    refused(RULES, &format!("{CHAIN}\ntable = \"other\""), SSH, &said);
}

#[test]
fn a_table_that_somebody_else_has() {
    let theirs =
        "table inet letmein {\nchain forward { type filter hook forward priority 0;\n}\nchain theirs { }\n}";
    let said = ["table `inet letmein` exists but was not made by letmeind (it holds the chain `theirs`)"];
    refused(theirs, "", &format!("{SSH}forward = true\ncut = true"), &said);
    // With our names for what is not ours.
    let set = "table inet filter {\nset letmein_leases4_udp_1-2 { type ipv6_addr; flags timeout;\n}\nchain LETMEIN-INPUT { }\n}";
    refused(
        set,
        CHAIN,
        SSH,
        &["set `letmein_leases4_udp_1-2` in table `inet filter` is not as letmeind makes it"],
    );
}

/// Of a resource with a range and a port, there is room for one: neither is opened. (The kernel's own limit for a set is
/// tested in `letmein-daemon/tests/firewall.rs`.)
#[test]
fn more_leases_than_there_may_be() {
    let lab = Lab::new().unwrap();
    let both = SSH.replace("[\"tcp/22\"]", "[\"udp/60000-61000\", \"tcp/22\"]");
    let mut running = gate(&lab, "max-leases = 3", &both);
    assert_eq!(alice(&lab.other, "10.77.2.1", "knock"), 0);
    assert_eq!(alice(&lab.client, SERVER, "knock"), 1);
    running
        .wait_for("alice proved a knock on ssh for 10.77.1.2, but: 3 leases live already, which is firewall.max-leases")
        .unwrap();
    for set in ["leases4", "leases4_udp_60000-61000"] {
        assert_eq!(leases(&lab.server, "letmein", set).unwrap().len(), 1, "{set}");
    }
    assert_eq!(alice(&lab.other, "10.77.2.1", "revoke"), 0);
    assert_eq!(alice(&lab.client, SERVER, "knock"), 0);
}
