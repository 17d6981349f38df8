//! The firewall against the real kernel and the real `nft`, each test in a network namespace of its own.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "what a test cannot do without, it must fail without"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{io::Write as _, thread};

use letmein_daemon::firewall::{
    Closed, Firewall, FirewallError, FirewallPlan, LeaseKey, Mode, PortRange, Protected, Protocol,
};
use nix::sched::{CloneFlags, unshare};

#[path = "firewall/cuts.rs"]
mod cuts;
#[path = "firewall/forward.rs"]
mod forward;
#[path = "firewall/jumps.rs"]
mod jumps;
#[path = "firewall/packets.rs"]
mod packets;
#[path = "firewall/ranges.rs"]
mod ranges;
#[path = "firewall/syns.rs"]
mod syns;

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../nftables.conf");

/// Runs a test in a thread with a network namespace of its own, which the programs it starts inherit and
/// which ends with the thread.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let outcome = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: run these tests as root");
        test();
    })
    .join();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn nft(arguments: &[&str]) -> String {
    let output = Command::new("nft")
        .args(arguments)
        .output()
        .expect("nft: apt install nftables");
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn nft_load(rules: &str) {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "{rules}");
}

/// The elements of a set as nft prints them, sorted, without their clocks.
fn elements(table: &str, set: &str) -> Vec<String> {
    let json: serde_json::Value =
        serde_json::from_str(&nft(&["-j", "list", "set", "inet", table, set])).unwrap();
    let elements = json["nftables"][1]["set"]["elem"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut names: Vec<_> = elements
        .iter()
        .map(|element| {
            let value = if element["elem"].is_null() {
                element
            } else {
                &element["elem"]["val"]
            };
            let parts = value["concat"].as_array().cloned();
            let parts = parts.unwrap_or_else(|| vec![value.clone()]).into_iter();
            parts
                .map(|part| part.to_string().replace('"', ""))
                .collect::<Vec<_>>()
                .join(" . ")
        })
        .collect();
    names.sort();
    names
}

fn one(protocol: Protocol, port: u16) -> Protected {
    PortRange::one(protocol, port).into()
}

fn guard(closed: Closed) -> FirewallPlan {
    FirewallPlan {
        mode: Mode::Guard { closed },
        protected: vec![one(Protocol::Tcp, 22), one(Protocol::Udp, 51820)],
        control: vec![(Protocol::Udp, 5800)],
        capacity: 64,
        ..FirewallPlan::default()
    }
}

fn chain() -> FirewallPlan {
    FirewallPlan {
        mode: Mode::Chain {
            table: "filter".to_owned(),
            chain: "LETMEIN-INPUT".to_owned(),
        },
        control: vec![
            (Protocol::Udp, 5800),
            (Protocol::Tcp, 5800),
            (Protocol::Udp, 5800),
        ],
        ..guard(Closed::Drop)
    }
}

fn key(address: &str, protocol: Protocol, port: u16) -> LeaseKey {
    LeaseKey::new(address.parse().unwrap(), protocol, port)
}

fn ssh(address: &str) -> LeaseKey {
    key(address, Protocol::Tcp, 22)
}

/// How long the one lease there is still lives.
fn remaining(firewall: &mut Firewall) -> Duration {
    let leases = firewall.leases().unwrap();
    assert_eq!(leases.len(), 1, "{leases:?}");
    leases[0].remaining
}

#[test]
fn guard_writes_its_rules_in_order() {
    in_namespace(|| {
        Firewall::install(&guard(Closed::Drop)).unwrap();
        let rules = nft(&["-s", "list", "chain", "inet", "letmein", "input"]);
        let mut at = 0;
        for rule in [
            "type filter hook input priority filter - 10; policy accept;",
            "iif \"lo\" accept",
            "ct state established accept comment \"letmein: open TCP connections\"",
            "meta l4proto != tcp ct state established accept",
            "ip saddr . meta l4proto . th dport @leases4 accept",
            "ip6 saddr . meta l4proto . th dport @leases6 accept",
            "meta l4proto . th dport @protected drop",
        ] {
            at += rules[at..]
                .find(rule)
                .unwrap_or_else(|| panic!("{rule} is missing or too early in {rules}"));
        }
        assert_eq!(elements("letmein", "protected"), ["tcp . 22", "udp . 51820"]);

        Firewall::install(&guard(Closed::Reject)).unwrap();
        let rules = nft(&["-s", "list", "chain", "inet", "letmein", "input"]);
        assert!(rules.contains("@protected reject with tcp reset"), "{rules}");
        assert!(
            rules.contains("meta l4proto . th dport @protected reject comment"),
            "{rules}"
        );
        assert!(!rules.contains("drop"), "{rules}");
    });
}

#[test]
fn installing_again_keeps_leases_and_renews_ports() {
    in_namespace(|| {
        let mut plan = guard(Closed::Drop);
        let mut first = Firewall::install(&plan).unwrap();
        let keys = [ssh("192.0.2.1"), key("2001:db8::1", Protocol::Udp, 51820)];
        first.open(&keys, HOUR).unwrap();
        drop(first);
        let before = nft(&["-s", "-t", "list", "ruleset"]);

        let mut second = Firewall::install(&plan).unwrap();
        assert_eq!(nft(&["-s", "-t", "list", "ruleset"]), before);
        let mut kept: Vec<_> = second.leases().unwrap().iter().map(|lease| lease.key).collect();
        kept.sort();
        assert_eq!(kept, keys);

        plan.protected = vec![one(Protocol::Tcp, 2222)];
        plan.capacity = 128;
        let mut third = Firewall::install(&plan).unwrap();
        assert_eq!(elements("letmein", "protected"), ["tcp . 2222"]);
        assert_eq!(third.leases().unwrap().len(), 2);

        plan.protected = vec![];
        Firewall::install(&plan).unwrap();
        assert!(elements("letmein", "protected").is_empty());
    });
}

#[test]
fn a_flushed_table_is_filled_again() {
    in_namespace(|| {
        Firewall::install(&guard(Closed::Drop))
            .unwrap()
            .open(&[ssh("192.0.2.1")], HOUR)
            .unwrap();
        let before = nft(&["-s", "-t", "list", "ruleset"]);
        nft(&["flush", "table", "inet", "letmein"]);
        let mut firewall = Firewall::install(&guard(Closed::Drop)).unwrap();
        assert_eq!(nft(&["-s", "-t", "list", "ruleset"]), before);
        assert_eq!(firewall.leases().unwrap().len(), 1);
    });
}

#[test]
fn leases_open_exactly_what_was_asked_and_close() {
    in_namespace(|| {
        let mut firewall = Firewall::install(&guard(Closed::Drop)).unwrap();
        let keys = [
            ssh("192.0.2.1"),
            key("192.0.2.1", Protocol::Udp, 51820),
            ssh("::ffff:192.0.2.2"),
            key("2001:db8::1", Protocol::Udp, 65535),
        ];
        firewall.open(&keys, HOUR).unwrap();
        assert_eq!(
            elements("letmein", "leases4"),
            [
                "192.0.2.1 . tcp . 22",
                "192.0.2.1 . udp . 51820",
                "192.0.2.2 . tcp . 22"
            ]
        );
        assert_eq!(elements("letmein", "leases6"), ["2001:db8::1 . udp . 65535"]);
        for lease in firewall.leases().unwrap() {
            assert!(keys.contains(&lease.key), "{lease:?}");
            assert!(
                lease.remaining <= HOUR && lease.remaining > 59 * MINUTE,
                "{lease:?}"
            );
        }

        assert_eq!(firewall.close(&[keys[0], ssh("192.0.2.9"), keys[3]]).unwrap(), 2);
        assert_eq!(firewall.close(&keys).unwrap(), 2);
        assert_eq!(firewall.leases().unwrap(), []);
        firewall.open(&[], HOUR).unwrap();
        assert_eq!(firewall.leases().unwrap(), []);
    });
}

#[test]
fn the_kernel_ends_leases_and_a_refresh_prolongs_or_shortens_them() {
    in_namespace(|| {
        let mut firewall = Firewall::install(&guard(Closed::Drop)).unwrap();
        let second = Duration::from_secs(1);
        let start = Instant::now();
        firewall.open(&[ssh("192.0.2.1")], second).unwrap();
        assert!(remaining(&mut firewall) <= second);
        firewall.open(&[ssh("192.0.2.1")], 2 * second).unwrap();
        let left = remaining(&mut firewall);
        assert!(left > second && left <= 2 * second, "{left:?}");
        thread::sleep(Duration::from_millis(1300));
        assert!(
            remaining(&mut firewall) <= second,
            "still there after its first lifetime"
        );
        while !firewall.leases().unwrap().is_empty() {
            assert!(
                start.elapsed() < Duration::from_millis(2200),
                "outlived its lifetime"
            );
            thread::sleep(Duration::from_millis(2));
        }
        assert!(start.elapsed() > Duration::from_millis(1900), "ended too early");

        firewall.open(&[ssh("192.0.2.1")], HOUR).unwrap();
        firewall.open(&[ssh("192.0.2.1")], second).unwrap();
        assert!(remaining(&mut firewall) <= second);
    });
}

#[test]
fn a_refresh_works_at_every_moment_around_the_end_of_a_lease() {
    in_namespace(|| {
        let mut firewall = Firewall::install(&guard(Closed::Drop)).unwrap();
        let shortest = Duration::from_millis(100);
        for millis in 94..106 {
            firewall.open(&[ssh("192.0.2.1")], shortest).unwrap();
            let opened = Instant::now();
            while opened.elapsed() < Duration::from_millis(millis) {
                std::hint::spin_loop();
            }
            firewall.open(&[ssh("192.0.2.1")], HOUR).unwrap();
            assert!(remaining(&mut firewall) > shortest);
            assert_eq!(firewall.close(&[ssh("192.0.2.1")]).unwrap(), 1);
        }
    });
}

#[test]
fn lifetimes_the_kernel_would_take_for_never_are_refused() {
    in_namespace(|| {
        let mut firewall = Firewall::install(&guard(Closed::Drop)).unwrap();
        for lifetime in [
            Duration::ZERO,
            Duration::from_millis(99),
            Duration::from_secs(400_000_000),
            Duration::MAX,
        ] {
            let outcome = firewall.open(&[ssh("192.0.2.1")], lifetime);
            assert!(
                matches!(outcome, Err(FirewallError::Lifetime { .. })),
                "{lifetime:?}: {outcome:?}"
            );
        }
        assert_eq!(firewall.leases().unwrap(), []);
    });
}

#[test]
fn a_full_set_is_said_so_opens_nothing_and_still_refreshes() {
    in_namespace(|| {
        let plan = FirewallPlan {
            capacity: 2,
            ..guard(Closed::Drop)
        };
        let mut firewall = Firewall::install(&plan).unwrap();
        let keys = [ssh("192.0.2.1"), ssh("192.0.2.2")];
        firewall.open(&keys, MINUTE).unwrap();
        let more = firewall.open(&[ssh("2001:db8::1"), ssh("192.0.2.3")], HOUR);
        assert!(
            matches!(more, Err(FirewallError::Full { capacity: 2 })),
            "{more:?}"
        );
        assert_eq!(
            firewall.leases().unwrap().len(),
            2,
            "nothing of a refused request stays"
        );
        let crowd: Vec<_> = (0..2048)
            .map(|n| ssh(&format!("10.0.{}.{}", n / 256, n % 256)))
            .collect();
        let more = firewall.open(&crowd, HOUR);
        assert!(matches!(more, Err(FirewallError::Full { .. })), "{more:?}");
        firewall.open(&keys, HOUR).unwrap();
        assert!(
            firewall
                .leases()
                .unwrap()
                .iter()
                .all(|lease| lease.remaining > MINUTE)
        );
    });
}

#[test]
fn many_leases_are_opened_at_once_and_read_back() {
    in_namespace(|| {
        let plan = FirewallPlan {
            capacity: 4096,
            ..guard(Closed::Drop)
        };
        let mut firewall = Firewall::install(&plan).unwrap();
        let mut wanted: Vec<_> = (0..2048)
            .map(|n| ssh(&format!("10.0.{}.{}", n / 256, n % 256)))
            .collect();
        firewall.open(&wanted, HOUR).unwrap();
        let mut read: Vec<_> = firewall.leases().unwrap().iter().map(|lease| lease.key).collect();
        read.sort();
        wanted.sort();
        assert_eq!(read, wanted);
    });
}

#[test]
fn a_lost_table_is_said_so() {
    in_namespace(|| {
        let mut firewall = Firewall::install(&guard(Closed::Drop)).unwrap();
        nft(&["flush", "ruleset"]);
        let gone = |error| matches!(error, FirewallError::NotInstalled { .. });
        assert!(gone(firewall.open(&[ssh("192.0.2.1")], HOUR).unwrap_err()));
        assert!(gone(firewall.leases().unwrap_err()));
        assert_eq!(firewall.close(&[ssh("192.0.2.1")]).unwrap(), 0);
        let mut firewall = Firewall::install(&guard(Closed::Drop)).unwrap();
        firewall.open(&[ssh("192.0.2.1")], HOUR).unwrap();
    });
}

#[test]
fn somebody_elses_table_is_refused_and_left_alone() {
    in_namespace(|| {
        nft_load(
            "add table inet letmein\nadd chain inet letmein theirs\nadd rule inet letmein theirs accept",
        );
        let before = nft(&["list", "ruleset"]);
        for outcome in [
            Firewall::install(&guard(Closed::Drop)).map(drop),
            Firewall::remove(&guard(Closed::Drop)).map(drop),
        ] {
            assert!(
                matches!(outcome, Err(FirewallError::ForeignTable { .. })),
                "{outcome:?}"
            );
        }
        assert_eq!(nft(&["list", "ruleset"]), before);
    });
}

#[test]
fn removing_leaves_no_trace() {
    in_namespace(|| {
        assert!(!Firewall::remove(&guard(Closed::Drop)).unwrap());
        Firewall::install(&guard(Closed::Drop))
            .unwrap()
            .open(&[ssh("192.0.2.1")], HOUR)
            .unwrap();
        assert!(Firewall::remove(&guard(Closed::Drop)).unwrap());
        assert_eq!(nft(&["list", "ruleset"]), "");

        nft(&["-f", EXAMPLE]);
        let before = nft(&["list", "ruleset"]);
        assert!(!Firewall::remove(&chain()).unwrap());
        Firewall::install(&chain())
            .unwrap()
            .open(&[ssh("192.0.2.1")], HOUR)
            .unwrap();
        assert_ne!(nft(&["list", "ruleset"]), before);
        assert!(Firewall::remove(&chain()).unwrap());
        assert_eq!(nft(&["list", "ruleset"]), before);
    });
}

#[test]
fn chain_mode_lives_in_the_example_ruleset() {
    in_namespace(|| {
        nft(&["-f", EXAMPLE]);
        let mut firewall = Firewall::install(&chain()).unwrap();
        firewall
            .open(&[ssh("192.0.2.1"), ssh("2001:db8::1")], HOUR)
            .unwrap();
        assert_eq!(elements("filter", "letmein_leases4"), ["192.0.2.1 . tcp . 22"]);
        assert_eq!(elements("filter", "letmein_leases6"), ["2001:db8::1 . tcp . 22"]);
        let rules = nft(&["-s", "list", "chain", "inet", "filter", "LETMEIN-INPUT"]);
        for rule in [
            "tcp dport 5800 accept",
            "udp dport 5800 accept",
            "ip saddr . meta l4proto . th dport @letmein_leases4 accept",
            "ip6 saddr . meta l4proto . th dport @letmein_leases6 accept",
        ] {
            assert_eq!(rules.matches(rule).count(), 1, "{rule} in {rules}");
        }

        // Loading the example again, as `systemctl reload nftables` does, and starting again lose nothing.
        let before = nft(&["-s", "-t", "list", "ruleset"]);
        nft(&["-f", EXAMPLE]);
        assert_eq!(nft(&["-s", "-t", "list", "ruleset"]), before);
        let mut firewall = Firewall::install(&chain()).unwrap();
        assert_eq!(nft(&["-s", "-t", "list", "ruleset"]), before);
        assert_eq!(firewall.leases().unwrap().len(), 2);
        assert_eq!(firewall.close(&[ssh("192.0.2.1")]).unwrap(), 1);
    });
}

#[test]
fn chain_mode_says_what_the_users_ruleset_lacks() {
    in_namespace(|| {
        let refused = || Firewall::install(&chain()).map(drop).unwrap_err();
        let error = refused();
        assert!(matches!(error, FirewallError::NoTable { .. }), "{error}");
        assert!(error.to_string().contains("jump LETMEIN-INPUT"), "{error}");
        nft_load(
            "add table inet filter\nadd chain inet filter input { type filter hook input priority filter; }",
        );
        let error = refused();
        assert!(matches!(error, FirewallError::NoChain { .. }), "{error}");
        assert!(error.to_string().contains("jump LETMEIN-INPUT"), "{error}");
        nft_load(
            "add chain inet filter LETMEIN-INPUT\nadd rule inet filter LETMEIN-INPUT tcp dport 22 accept",
        );
        let error = refused();
        assert!(matches!(error, FirewallError::ForeignRules { .. }), "{error}");
        nft_load("flush chain inet filter LETMEIN-INPUT");
        Firewall::install(&chain()).unwrap();

        let mode = Mode::Chain {
            table: "filter".to_owned(),
            chain: "input".to_owned(),
        };
        let error = Firewall::install(&FirewallPlan { mode, ..chain() })
            .map(drop)
            .unwrap_err();
        assert!(matches!(error, FirewallError::BaseChain { .. }), "{error}");
    });
}

#[test]
fn chain_mode_does_not_start_behind_a_guard_that_was_left() {
    in_namespace(|| {
        Firewall::install(&guard(Closed::Drop)).unwrap();
        nft(&["-f", EXAMPLE]);
        let error = Firewall::install(&chain()).map(drop).unwrap_err();
        assert!(matches!(error, FirewallError::GuardLeft), "{error}");
        assert!(Firewall::remove(&chain()).unwrap());
        Firewall::install(&chain()).unwrap();
    });
}
