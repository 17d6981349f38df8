//! Ranges of ports, and leases for prefixes of IPv6: one element each, however much it opens.

use std::io::ErrorKind;

use letmein_daemon::firewall::{
    Firewall, FirewallError, FirewallPlan, LeaseKey, PortRange, Protected, Protocol,
};

use super::packets::{ANSWER, Client, GUEST, GUEST6, NEIGHBOUR6, SILENCE, STRANGER, load_users_rules};
use super::{HOUR, chain, elements, guard, in_namespace, key, nft, one};

const MOSH: PortRange = PortRange {
    protocol: Protocol::Udp,
    first: 60000,
    last: 61000,
};

/// SSH and a range, both for a /64 of IPv6; and one port for single addresses.
fn plans() -> [FirewallPlan; 2] {
    let by_prefix = |ports: PortRange| Protected {
        ipv6_prefix: 64,
        ..ports.into()
    };
    let protected = vec![
        by_prefix(PortRange::one(Protocol::Tcp, 22)),
        by_prefix(MOSH),
        one(Protocol::Udp, 51820),
    ];
    [guard(super::Closed::Drop), chain()].map(|plan| FirewallPlan {
        protected: protected.clone(),
        ..plan
    })
}

fn mosh(address: &str) -> LeaseKey {
    key(address, Protocol::Udp, 60000).in_prefix(64)
}

#[test]
fn a_range_is_one_element_and_opens_from_its_first_port_to_its_last() {
    for plan in plans() {
        in_namespace(move || {
            let client = Client::new();
            let _echoes = [59999, 60000, 60500, 61000, 61001].map(super::packets::echo);
            load_users_rules(&plan);
            let mut firewall = Firewall::install(&plan).unwrap();
            let set = firewall_set(&plan, "leases4_udp_60000-61000");
            let reached = |from| [60000, 60500, 61000].map(|port| client.echoed(from, port, SILENCE).is_ok());
            assert_eq!(reached(GUEST), [false; 3]);

            firewall.open(&[mosh(GUEST)], HOUR).unwrap();
            assert_eq!(elements(&plan_table(&plan), &set), [GUEST]);
            for port in [60000, 60500, 61000] {
                assert_eq!(client.echoed(GUEST, port, ANSWER), Ok(()), "{port}");
            }
            assert_eq!(reached(STRANGER), [false; 3]);
            assert_eq!(reached(GUEST6), [false; 3]);
            client.tcp_is_silent(GUEST);
            // Beside the range, nothing has changed: guard mode leaves it alone, the user's own rules close it.
            let beside = matches!(plan.mode, super::Mode::Guard { .. });
            for port in [59999, 61001] {
                assert_eq!(client.echoed(GUEST, port, SILENCE).is_ok(), beside, "{port}");
            }

            assert_eq!(firewall.leases().unwrap()[0].key, mosh(GUEST));
            assert_eq!(firewall.close(&[mosh(GUEST)]).unwrap(), 1);
            assert_eq!(reached(GUEST), [false; 3]);
        });
    }
}

#[test]
fn a_prefix_lease_is_for_every_address_in_it_and_for_no_other() {
    for plan in plans() {
        in_namespace(move || {
            let client = Client::new();
            let _services = (
                super::packets::listen(22),
                [60000, 51820].map(super::packets::echo),
            );
            load_users_rules(&plan);
            let mut firewall = Firewall::install(&plan).unwrap();
            // The address is in the /64 of both, and neither of them.
            let ssh = key("fd58::dead:beef", Protocol::Tcp, 22).in_prefix(64);
            let leases = [ssh, mosh("fd58::dead:beef"), key(GUEST6, Protocol::Udp, 51820)];
            firewall.open(&leases, HOUR).unwrap();
            let table = plan_table(&plan);
            assert_eq!(
                elements(&table, &firewall_set(&plan, "leases6_64")),
                ["fd58:: . tcp . 22"]
            );
            for from in [GUEST6, NEIGHBOUR6] {
                client
                    .connect(from, 22, ANSWER)
                    .expect("the address is in the prefix");
                assert_eq!(client.echoed(from, 60000, ANSWER), Ok(()));
            }
            // Next to it, a lease for an address is for the address.
            assert_eq!(client.echoed(GUEST6, 51820, ANSWER), Ok(()));
            client.udp_is_silent(NEIGHBOUR6);
            client.tcp_is_silent(GUEST);

            firewall.close(&leases).unwrap();
            let elsewhere = key("fd58:0:0:1::2", Protocol::Tcp, 22).in_prefix(64);
            firewall.open(&[elsewhere], HOUR).unwrap();
            let refused = client.connect(GUEST6, 22, SILENCE);
            assert_eq!(refused.err(), Some(ErrorKind::TimedOut), "another prefix");
        });
    }
}

#[test]
fn leases_of_ranges_and_prefixes_are_read_back_by_the_next_run() {
    for plan in plans() {
        in_namespace(move || {
            load_users_rules(&plan);
            let mut keys = vec![
                mosh(GUEST),
                mosh(GUEST6),
                key("fd58::1", Protocol::Tcp, 22).in_prefix(64),
                key("10.58.0.9", Protocol::Tcp, 22),
                key(GUEST6, Protocol::Udp, 51820),
            ];
            Firewall::install(&plan).unwrap().open(&keys, HOUR).unwrap();
            let before = nft(&["-s", "-t", "list", "ruleset"]);
            let mut next = Firewall::install(&plan).unwrap();
            assert_eq!(nft(&["-s", "-t", "list", "ruleset"]), before);
            let mut read: Vec<_> = next.leases().unwrap().iter().map(|lease| lease.key).collect();
            keys.sort();
            read.sort();
            assert_eq!(read, keys);
        });
    }
}

/// A lease of what was a port and is a range now, or of a prefix that is longer now, would open something else.
#[test]
fn leases_do_not_survive_a_change_of_what_they_open() {
    for plan in plans() {
        in_namespace(move || {
            load_users_rules(&plan);
            let keys = [
                mosh(GUEST),
                mosh(GUEST6),
                key(GUEST6, Protocol::Tcp, 22).in_prefix(64),
                key(GUEST, Protocol::Tcp, 22),
            ];
            Firewall::install(&plan).unwrap().open(&keys, HOUR).unwrap();
            let mut other = plan.clone();
            let shorter = PortRange { last: 60500, ..MOSH };
            other.protected = vec![one(Protocol::Tcp, 22), shorter.into()];
            let mut next = Firewall::install(&other).unwrap();
            next.close_strays(None).unwrap();
            let left: Vec<_> = next.leases().unwrap().iter().map(|lease| lease.key).collect();
            assert_eq!(left, [key(GUEST, Protocol::Tcp, 22)]);
            let rules = nft(&["list", "table", "inet", &plan_table(&plan)]);
            for gone in ["leases6_64", "60000-61000"] {
                assert!(!rules.contains(gone), "{gone} in {rules}");
            }
            next.close(&left).unwrap();
            // And back, by way of a single port with the number of a range's first. Whether its lease has to be looked for, or
            // is known from before.
            next.close(&left).unwrap();
            other.protected = vec![one(Protocol::Udp, 60000)];
            let single = key(GUEST, Protocol::Udp, 60000);
            for known in [None, Some(&[single][..])] {
                let mut before = Firewall::install(&other).unwrap();
                before.open(&[single], HOUR).unwrap();
                let mut next = Firewall::install(&plan).unwrap();
                next.close_strays(known).unwrap();
                assert_eq!(
                    elements(&plan_table(&plan), &firewall_set(&plan, "leases4")),
                    [""; 0]
                );
            }
        });
    }
}

#[test]
fn removing_leaves_no_trace_of_ranges_and_prefixes() {
    for plan in plans() {
        in_namespace(move || {
            load_users_rules(&plan);
            let before = nft(&["list", "ruleset"]);
            let keys = [mosh(GUEST), mosh(GUEST6)];
            Firewall::install(&plan).unwrap().open(&keys, HOUR).unwrap();
            // By a plan that knows nothing of them, as after a change of the configuration.
            let other = FirewallPlan {
                protected: vec![],
                ..plan.clone()
            };
            assert!(Firewall::remove(&other).unwrap());
            assert_eq!(nft(&["list", "ruleset"]), before);
        });
    }
}

fn plan_table(plan: &FirewallPlan) -> String {
    match &plan.mode {
        super::Mode::Guard { .. } => "letmein".to_owned(),
        super::Mode::Chain { table, .. } => table.clone(),
    }
}

fn firewall_set(plan: &FirewallPlan, name: &str) -> String {
    match &plan.mode {
        super::Mode::Guard { .. } => name.to_owned(),
        super::Mode::Chain { .. } => format!("letmein_{name}"),
    }
}

/// Of several leases that are opened together, none is there if one has no room.
#[test]
fn a_full_set_of_a_range_leaves_the_other_ports_closed() {
    for plan in plans() {
        in_namespace(move || {
            load_users_rules(&plan);
            let plan = FirewallPlan { capacity: 1, ..plan };
            let mut firewall = Firewall::install(&plan).unwrap();
            firewall.open(&[mosh(GUEST)], HOUR).unwrap();
            let ssh = key(STRANGER, Protocol::Tcp, 22);
            let outcome = firewall.open(&[ssh, mosh(STRANGER)], HOUR);
            assert!(
                matches!(outcome, Err(FirewallError::Full { capacity: 1 })),
                "{outcome:?}"
            );
            assert_eq!(firewall.leases().unwrap().len(), 1);
        });
    }
}
