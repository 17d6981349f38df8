//! letmein 12's configurations, as real ones look, become configurations that letmeind accepts and that mean the same.
//! Needs no root.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_common::{ResourceId, UserId};
use letmein_daemon::config::{Config, ErrorPolicy};
use letmein_daemon::firewall::Mode;
use std::{path::Path, time::Duration};

const KEY: &str = "5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A";

/// What it becomes, and what that means.
fn import(text: &str) -> (String, Config) {
    let ours = letmein_import::server(text, &[]).unwrap().to_string();
    let config = Config::parse(&ours, Path::new("ours.toml"), Path::new("/nonexistent"));
    let config = config.unwrap_or_else(|error| panic!("{error}\n{ours}"));
    (ours, config)
}

/// Every kind of option that there is.
fn full() -> String {
    format!(
        "# A comment.\n[GENERAL]\ndebug = yes\nport = 5801 / tcp, UDP\ncontrol-timeout = 2.5\n\
         control-error-policy = Basic-Auth\nseccomp = kill\ncolour = blue\n\n\
         [NFTABLES]\nexe = /usr/sbin/nft\nfamily = inet\ntable = mine\nchain-input = KNOCKS\n\
         chain-forward = KNOCKS-FORWARD\nchain-output = KNOCKS-OUTPUT\ntimeout = 90\nmax-nr-rules = 0x10\n\n\
         [KEYS]\n00000001 = {KEY}\nb={KEY}\n0000000C = {KEY}\n\n\
         [RESOURCES]\n0000001A = port: 2000\n1B = port: 0xDAC / timeout: 60 / users: 00000001, 0000000D\n\
         0000001C = port: 53 / tcp,udp / users: b\n0000001D = tcp / udp / port: 54\n1E = port: 55 / udp / users: 1\n\
         00000020 = jump / input: IN / forward: THROUGH / output: OUT\n\
         00000023 = jump /\n           input: IN / forward: THROUGH /\n\
         \x20          input-match: saddr / forward-match: saddr /\n           users: 00000001 /\n           timeout: 172800\n\
         [EXTRA]\nx = y\n"
    )
}

#[test]
fn every_option_means_the_same() {
    let (ours, config) = import(&full());
    let gate = &config.gate;
    assert_eq!(
        (gate.port, gate.udp, gate.tcp, gate.silent),
        (5801, true, true, false)
    );
    assert_eq!(
        (gate.control_timeout, gate.error_policy),
        (Duration::from_millis(2500), ErrorPolicy::BasicAuth)
    );
    let mode = Mode::Chain {
        table: "mine".to_owned(),
        chain: "KNOCKS".to_owned(),
    };
    assert_eq!((&config.firewall.mode, config.firewall.max_leases), (&mode, 16));
    assert_eq!(
        (
            config.firewall.forward_chain.as_str(),
            config.firewall.output_chain.as_str()
        ),
        ("KNOCKS-FORWARD", "KNOCKS-OUTPUT")
    );
    let hour = Duration::from_hours(1);
    for (id, ports, lease, users) in [
        (0x1A, "tcp/2000", Duration::from_secs(90), "1bc"),
        (0x1B, "tcp/3500", Duration::from_mins(1), "1"),
        (0x1C, "tcp/53, udp/53", Duration::from_secs(90), "b"),
        (0x1D, "tcp/54, udp/54", Duration::from_secs(90), "1bc"),
        (0x1E, "udp/55", Duration::from_secs(90), "1"),
        (
            0x20,
            "jump to IN, jump to THROUGH, jump to OUT",
            Duration::from_secs(90),
            "1bc",
        ),
        (0x23, "jump to IN, jump to THROUGH", 48 * hour, "1"),
    ] {
        let resource = config.resource(ResourceId(id)).unwrap();
        assert_eq!(
            (resource.port_list().as_str(), resource.lease),
            (ports, lease),
            "{id:X}"
        );
        let permitted = [1, 0xB, 0xC]
            .into_iter()
            .filter(|user| config.user(UserId(*user)).unwrap().permits(ResourceId(id)));
        assert_eq!(
            permitted
                .map(|user| format!("{user:x}"))
                .collect::<Vec<_>>()
                .concat(),
            users,
            "{id:X}"
        );
    }
    let for_all = |id| {
        let jump = config.resource(ResourceId(id)).unwrap().jump.as_ref().unwrap();
        jump.to.iter().map(|to| to.for_all).collect::<Vec<_>>()
    };
    assert_eq!((for_all(0x20), for_all(0x23)), (vec![true; 3], vec![false; 2]));
    for note in [
        "Not taken over: colour in [GENERAL] (line 8).",
        "Not taken over: section [EXTRA] (line 37).",
        "Not taken over: exe (line 11).",
        "Not taken over: seccomp.",
        "Not taken over: user 0000000D, who has no key there.",
        "No counterpart to debug",
    ] {
        assert!(
            ours.replace(
                "
# ", " "
            )
            .contains(note),
            "{note}: {ours}"
        );
    }
}

/// Its own example as it comes: everything in it that could be said is commented out.
#[test]
fn what_comes_with_it() {
    let text = "[GENERAL]\ndebug = true\nport = 5800\ncontrol-timeout = 5.0\ncontrol-error-policy = always\nseccomp = off\n\
                [NFTABLES]\nexe = nft\nfamily = inet\ntable = filter\nchain-input = LETMEIN-INPUT\n\
                chain-forward = LETMEIN-FORWARD\nchain-output = LETMEIN-OUTPUT\ntimeout = 600\nmax-nr-rules = 100\n\
                [KEYS]\n[RESOURCES]\n";
    let (ours, config) = import(text);
    assert_eq!(
        (config.gate.port, config.gate.udp, config.gate.tcp),
        (5800, false, true)
    );
    assert_eq!(
        (config.gate.error_policy, config.firewall.max_leases),
        (ErrorPolicy::Always, 100)
    );
    assert!(ours.contains("Not needed: chain-forward"), "{ours}");
}

/// And nothing at all: what letmein 12 does without a file.
#[test]
fn nothing() {
    let (_, config) = import("");
    assert_eq!(
        (config.gate.port, config.gate.udp, config.gate.tcp),
        (5800, false, true)
    );
    assert_eq!(
        (config.gate.error_policy, config.firewall.max_leases),
        (ErrorPolicy::Always, 100)
    );
}

#[test]
fn a_user_who_may_open_nothing_is_left_out() {
    let text = format!("[KEYS]\n1 = {KEY}\n2 = {KEY}\n[RESOURCES]\nA = port: 22 / users: 1\n");
    let (ours, config) = import(&text);
    assert_eq!(config.users().count(), 1);
    assert!(
        ours.contains("Not taken over: user 00000002, who may open nothing there."),
        "{ours}"
    );
}

#[test]
fn times_out_of_our_bounds_are_moved_with_a_note() {
    let text = "[GENERAL]\ncontrol-timeout = 0\n[NFTABLES]\ntimeout = 0.5\n[RESOURCES]\n1 = port: 22 / timeout: 4294967295\n";
    let (ours, config) = import(text);
    assert_eq!(config.gate.control_timeout, Duration::from_millis(100));
    assert_eq!(
        config.resource(ResourceId(1)).unwrap().lease,
        Duration::from_hours(8760)
    );
    assert_eq!(ours.matches("here it may be from").count(), 3, "{ours}");
}

#[test]
fn what_letmein_12_refuses_is_refused_with_its_line() {
    let key = format!("[KEYS]\n1 = {KEY}");
    for (text, line, part) in [
        ("x = 1", 1, "in no section"),
        ("[GENERAL\n", 1, "a section is written as [NAME]"),
        ("[GENERAL]\nport", 2, "neither a section nor an option"),
        ("[GENERAL]\n[GENERAL]", 2, "there twice"),
        ("[GENERAL]\nport = 1\nport = 2", 3, "there twice"),
        ("[GENERAL]\nport = 0", 2, "a port is from 1"),
        ("[GENERAL]\nport = 5800 / sctp", 2, "a port is from 1"),
        ("[GENERAL]\nport = x: 1", 2, "PORT / tcp, udp"),
        ("[GENERAL]\ncontrol-timeout = 5s", 2, "no number of seconds"),
        ("[GENERAL]\ncontrol-timeout = -1", 2, "no number of seconds"),
        (
            "[GENERAL]\ncontrol-error-policy = never",
            2,
            "always, basic-auth or full-auth",
        ),
        ("[GENERAL]\nseccomp = on", 2, "off, log or kill"),
        ("[NFTABLES]\nfamily = bridge", 2, "inet, ip or ip6"),
        ("[NFTABLES]\nchain-input = a b", 2, "a chain's name"),
        ("[KEYS]\nalice = 1", 2, "a user's id"),
        (&format!("[KEYS]\n{KEY} = 1"), 2, "a user's id"),
        ("[KEYS]\n1 = 5A5A", 2, "a key is 64"),
        (&format!("[KEYS]\n1 = {}", "F".repeat(64)), 2, "nor all ones"),
        (&format!("{key}\n01 = {KEY}"), 3, "this user is there twice"),
        (
            "[RESOURCES]\n1 = port: 22\n01 = port: 23",
            3,
            "this resource is there twice",
        ),
        (
            "[RESOURCES]\n1 = port: 22\n2 = port: 22 / udp",
            3,
            "port 22 is that of resource 00000001",
        ),
        ("[RESOURCES]\n1 = users: 1", 2, "either `port: NUMBER` or `jump`"),
        ("[RESOURCES]\n1 = jump", 2, "either `port: NUMBER` or `jump`"),
        (
            "[RESOURCES]\n1 = port: 22 / input: X",
            2,
            "either `port: NUMBER` or `jump`",
        ),
        (
            "[RESOURCES]\n1 = jump / input: X / input-match: daddr",
            2,
            "nothing that letmein 12 knows",
        ),
        (
            "[RESOURCES]\n1 = port: 22 / colour: red",
            2,
            "nothing that letmein 12 knows",
        ),
        ("[RESOURCES]\n1 = port: 22, 23", 2, "has one value"),
        ("[RESOURCES]\n1 = port: 22 / users: bob", 2, "an id is"),
    ] {
        let error = letmein_import::server(text, &[]).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.what.contains(part), "{text}: {error}");
        assert!(!error.what.contains("5A5A5A"), "{error}");
    }
}
