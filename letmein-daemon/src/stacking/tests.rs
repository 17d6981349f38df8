//! Towers of interfaces, and which of them have the program.

use super::*;

/// Each line is an interface: its name, its kind, and what it is a port of or lies on.
fn covered_by(stack: &[(&str, &str, &str)], names: &[&str]) -> Vec<(String, String)> {
    let number = |name: &str| {
        let at = stack.iter().position(|(other, ..)| *other == name);
        at.map(|at| i32::try_from(at).unwrap() + 1)
    };
    let links: Vec<_> = stack
        .iter()
        .map(|(name, kind, relation)| Link {
            index: number(name).unwrap(),
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            master: relation.strip_prefix("port of ").and_then(number),
            below: relation.strip_prefix("on ").and_then(number),
            ..Link::default()
        })
        .collect();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut found: Vec<_> = covered(&links, &names)
        .into_iter()
        .map(|it| (it.name, it.by))
        .collect();
    found.sort();
    found
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
    owned.collect()
}

#[test]
fn of_a_master_and_a_port_the_master_is_taken() {
    let stack = [
        ("br0", "bridge", ""),
        ("eth0", "", "port of br0"),
        ("eth1", "", "port of br0"),
    ];
    assert_eq!(covered_by(&stack, &["eth0", "br0"]), pairs(&[("eth0", "br0")]));
    assert_eq!(
        covered_by(&stack, &["br0", "eth1", "eth0"]),
        pairs(&[("eth0", "br0"), ("eth1", "br0")])
    );
    assert_eq!(covered_by(&stack, &["eth0", "eth1"]), []);
    let stack = [("vrf0", "vrf", ""), ("eth0", "", "port of vrf0")];
    assert_eq!(covered_by(&stack, &["eth0", "vrf0"]), []);
}

#[test]
fn of_a_whole_and_a_part_the_whole_is_taken() {
    for kind in PARTS {
        let stack = [("eth0", "", ""), ("upper0", kind, "on eth0")];
        assert_eq!(
            covered_by(&stack, &["upper0", "eth0"]),
            pairs(&[("upper0", "eth0")]),
            "{kind}"
        );
    }
    // Other packets: they are wrapped in those below.
    for kind in ["vxlan", "macsec", "gre", "wireguard"] {
        let stack = [("eth0", "", ""), ("upper0", kind, "on eth0")];
        assert_eq!(covered_by(&stack, &["upper0", "eth0"]), [], "{kind}");
    }
}

#[test]
fn of_a_tower_the_one_that_sees_most_is_taken() {
    let stack = [
        ("eth0", "", "port of bond0"),
        ("bond0", "bond", ""),
        ("bond0.7", "vlan", "on bond0"),
        ("br7", "bridge", ""),
    ];
    let all = ["br7", "bond0.7", "bond0", "eth0"];
    assert_eq!(
        covered_by(&stack, &all),
        pairs(&[("bond0.7", "bond0"), ("eth0", "bond0")])
    );
    let stack = [
        ("eth0", "", ""),
        ("eth0.7", "vlan", "port of br7"),
        ("br7", "bridge", ""),
    ];
    // A VLAN that is a port is said to lie on a card as well: see the next test.
    assert_eq!(
        covered_by(&stack, &["eth0", "eth0.7", "br7"]),
        pairs(&[("eth0.7", "br7")])
    );
}

#[test]
fn a_card_below_the_vlan_that_is_a_port_sees_more_than_the_bridge() {
    let links = [
        Link {
            index: 1,
            name: "eth0".to_owned(),
            ..Link::default()
        },
        Link {
            index: 2,
            name: "eth0.7".to_owned(),
            kind: "vlan".to_owned(),
            below: Some(1),
            master: Some(3),
            ..Link::default()
        },
        Link {
            index: 3,
            name: "br7".to_owned(),
            kind: "bridge".to_owned(),
            ..Link::default()
        },
    ];
    let names = ["eth0", "br7"].map(str::to_owned);
    let found = covered(&links, &names);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.as_str(), found[0].by.as_str()), ("br7", "eth0"));
    let names = ["eth0", "eth0.7", "br7"].map(str::to_owned);
    assert_eq!(covered(&links, &names).len(), 2);
}

#[test]
fn a_vlan_on_a_port_that_gives_way_stays() {
    let stack = [
        ("br0", "bridge", ""),
        ("eth0", "", "port of br0"),
        ("eth0.7", "vlan", "on eth0"),
    ];
    assert_eq!(
        covered_by(&stack, &["br0", "eth0", "eth0.7"]),
        pairs(&[("eth0", "br0")])
    );
}

#[test]
fn what_goes_round_ends() {
    let stack = [("a", "bridge", "port of b"), ("b", "bridge", "port of a")];
    // Not that the kernel would allow it.
    assert!(covered_by(&stack, &["a", "b"]).len() <= 2);
}
