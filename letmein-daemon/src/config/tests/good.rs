//! What a good configuration means.

use super::{GATE, KEY, parse};
use crate::config::{ErrorPolicy, MetricsAddress, Seccomp, XdpMode};
use crate::firewall::{Closed, Hook, Jump, JumpTo, Mode, PortRange, Protected, Protocol};
use letmein_common::{
    ResourceId, UserId, bucket::Limit, maps::PermitKey, shield::PortRule, source::Prefixes,
};
use std::time::{Duration, SystemTime};

#[test]
fn defaults() {
    let config = parse("[gate]\ninterfaces = [\"eth0\"]\n").unwrap();
    let gate = &config.gate;
    assert_eq!(gate.interfaces, ["eth0"]);
    assert_eq!(gate.port, 5800);
    assert!(gate.udp && gate.tcp);
    assert_eq!(
        gate.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["0.0.0.0", "::"]
    );
    assert_eq!(gate.xdp, XdpMode::Auto);
    assert_eq!(gate.error_policy, ErrorPolicy::BasicAuth);
    assert_eq!(gate.control_timeout, Duration::from_secs(5));
    assert_eq!((gate.max_connections, gate.max_connections_per_source), (256, 4));
    assert_eq!((gate.pending_challenges, gate.seen_salts), (4096, 65_536));
    assert_eq!(gate.limit, Limit::new(20, 40));
    assert_eq!(gate.prefixes, Prefixes::new(32, 56));
    assert_eq!(config.firewall.mode, Mode::Guard { closed: Closed::Drop });
    assert_eq!(config.firewall.max_leases, 65_536);
    assert_eq!(config.firewall.max_opens_per_second, 100);
    assert_eq!(
        (config.daemon.user.as_str(), config.daemon.seccomp),
        ("letmein", Seccomp::Kill)
    );
    assert_eq!(config.firewall.forward_chain, "LETMEIN-FORWARD");
    assert_eq!(config.firewall.inside, Vec::<String>::new());
    assert_eq!(config.firewall.max_lease, Duration::from_hours(24));
    assert_eq!(
        config.operator.socket.to_str(),
        Some("/run/letmein/letmeind.sock")
    );
    assert_eq!(config.operator.group, None);
}

#[test]
fn operators() {
    let text = format!("{GATE}[operator]\nsocket = \"/run/gate.sock\"\ngroup = \"root\"\n");
    let operator = parse(&text).unwrap().operator;
    assert_eq!(operator.socket.to_str(), Some("/run/gate.sock"));
    assert_eq!(operator.group.as_deref(), Some("root"));
    assert_eq!((operator.metrics, operator.metrics_group), (None, None));
}

#[test]
fn metrics_on_loopback_or_a_socket() {
    let metrics = |options: &str| {
        parse(&format!("{GATE}[operator]\nmetrics = {options}\n"))
            .unwrap()
            .operator
    };
    for address in ["127.0.0.1:9580", "[::1]:9580", "127.8.9.10:1"] {
        let operator = metrics(&format!("\"{address}\""));
        assert_eq!(
            operator.metrics,
            Some(MetricsAddress::Loopback(address.parse().unwrap()))
        );
    }
    let operator = metrics("\"/run/gate/metrics\"\nmetrics-group = \"root\"");
    assert_eq!(
        operator.metrics,
        Some(MetricsAddress::Unix("/run/gate/metrics".into()))
    );
    assert_eq!(operator.metrics_group.as_deref(), Some("root"));
}

#[test]
fn everything_given() {
    let text = format!(
        r#"
        [gate]
        interfaces = ["eth0", "wlan0"]
        port = 1
        transports = ["tcp"]
        addresses = ["192.0.2.1", "2001:db8::1", "::1"]
        xdp = "generic"
        error-policy = "full-auth"
        control-timeout = "1m 30s"
        max-connections = 10
        max-connections-per-source = 2
        rate = 0
        burst = 0
        hmac-budget = 1000
        source-prefix-ipv4 = 24
        source-prefix-ipv6 = 64
        pending-challenges = 7
        seen-salts = 8
        [firewall]
        mode = "chain"
        table = "mine"
        chain = "knocks"
        default-lease = "2m"
        max-lease = "2h"
        max-leases = 3
        max-opens-per-second = 7
        forward-chain = "passed-on"
        [resources.web]
        id = "b"
        ports = ["tcp/80", "tcp/443", "udp/443"]
        [resources.ssh]
        id = "0000000A"
        ports = ["tcp/22", "udp/1"]
        lease = "2h"
        forward = true
        [users.alice]
        id = "ffffffff"
        key = "{KEY}"
        resources = ["ssh"]
        [users.bob]
        id = "0"
        key = "{KEY}"
        resources = ["*"]
        until = "2030-12-31T12:00:00Z"
        "#
    );
    let config = parse(&text).unwrap();
    let gate = &config.gate;
    assert_eq!(gate.interfaces, ["eth0", "wlan0"]);
    assert_eq!((gate.port, gate.udp, gate.tcp), (1, false, true));
    assert_eq!(
        gate.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["192.0.2.1", "2001:db8::1", "::1"]
    );
    assert_eq!(
        (gate.xdp, gate.error_policy),
        (XdpMode::Generic, ErrorPolicy::FullAuth)
    );
    assert_eq!(gate.control_timeout, Duration::from_secs(90));
    assert_eq!((gate.max_connections, gate.max_connections_per_source), (10, 2));
    assert_eq!((gate.pending_challenges, gate.seen_salts), (7, 8));
    assert_eq!(gate.limit, Limit::new(0, 0));
    assert_eq!(gate.prefixes, Prefixes::new(24, 64));
    let mode = Mode::Chain {
        table: "mine".to_owned(),
        chain: "knocks".to_owned(),
    };
    assert_eq!((&config.firewall.mode, config.firewall.max_leases), (&mode, 3));
    assert_eq!(config.firewall.max_opens_per_second, 7);

    let (web, ssh) = (ResourceId(0xB), ResourceId(0xA));
    let resource = config.resource(ssh).unwrap();
    // udp/1 has the number of the control port, but nothing listens for knocks over UDP.
    assert_eq!(
        (resource.port_list().as_str(), resource.lease),
        ("tcp/22, udp/1", Duration::from_hours(2))
    );
    assert_eq!(resource.ports[0], PortRange::one(Protocol::Tcp, 22));
    assert_eq!(config.resource(web).unwrap().lease, Duration::from_mins(2));
    assert!(config.resource(ResourceId(0xC)).is_none());
    assert_eq!(config.resources().count(), 2);

    let (alice, bob) = (UserId(u32::MAX), UserId(0));
    assert_eq!(config.user(alice).unwrap().name, "alice");
    assert!(config.user(alice).unwrap().permits(ssh) && !config.user(alice).unwrap().permits(web));
    assert!(config.user(bob).unwrap().permits(ssh) && config.user(bob).unwrap().permits(web));
    let new_years_eve = SystemTime::UNIX_EPOCH + Duration::from_hours(534_708);
    assert_eq!(config.user(bob).unwrap().until, Some(new_years_eve));
    assert_eq!(config.user(alice).unwrap().until, None);
    assert!(config.user(UserId(1)).is_none());
    assert_eq!(config.users().count(), 2);
    let permits = config.permits();
    assert_eq!(permits.len(), 3);
    assert!(permits.contains(&PermitKey {
        user: alice,
        resource: ssh
    }));
    assert!(!permits.contains(&PermitKey {
        user: alice,
        resource: web
    }));

    let plan = config.firewall_plan();
    assert_eq!(plan.mode, mode);
    assert_eq!(plan.control, [(Protocol::Tcp, 1)]);
    assert_eq!(plan.protected.len(), 5);
    assert_eq!(plan.forward_chain, "passed-on");
    let forwarded = plan.protected.iter().filter(|protected| protected.forward);
    assert_eq!(forwarded.count(), 2);
    assert!(
        plan.protected
            .contains(&PortRange::one(Protocol::Udp, 443).into())
    );
    // No knocks over UDP: the XDP program has no control port to look for.
    assert_eq!(config.settings().control_port, 0);
}

#[test]
fn a_short_longest_lease_shortens_the_default() {
    let resource = "[resources.a]\nid = \"1\"\nports = [\"tcp/22\"]\n";
    let config = parse(&format!("{GATE}[firewall]\nmax-lease = \"1m\"\n{resource}")).unwrap();
    assert_eq!(
        config.resource(ResourceId(1)).unwrap().lease,
        Duration::from_mins(1)
    );
    let config = parse(&format!("{GATE}{resource}")).unwrap();
    assert_eq!(
        config.resource(ResourceId(1)).unwrap().lease,
        Duration::from_mins(10)
    );
}

#[test]
fn inline_tables_and_dotted_keys_are_sections_too() {
    let text = format!(
        "gate.xdp = \"off\"\nresources.ssh = {{ id = \"1\", ports = [\"tcp/22\"] }}\n\
         users.a = {{ id = \"2\", key = \"{KEY}\", resources = [\"ssh\"] }}\n"
    );
    assert!(
        parse(&text)
            .unwrap()
            .user(UserId(2))
            .unwrap()
            .permits(ResourceId(1))
    );
}

#[test]
fn what_is_hardly_meant_is_a_warning() {
    let full = format!(
        "[resources.a]\nid = \"1\"\nports = [\"tcp/22\"]\n[users.a]\nid = \"1\"\nkey = \"{KEY}\"\nresources = [\"a\"]\n"
    );
    let warnings = |gate: &str, rest: &str| parse(&format!("{GATE}{gate}\n{rest}")).unwrap().warnings();
    assert_eq!(warnings("", &full), Vec::<String>::new());
    assert_eq!(
        warnings("transports = [\"tcp\"]\nerror-policy = \"always\"", &full),
        Vec::<String>::new()
    );
    let always = warnings("error-policy = \"always\"", &full);
    assert!(
        matches!(&always[..], [warning] if warning.contains("forged sources are sent an answer")),
        "{always:?}"
    );
    let greedy = warnings("max-connections = 4", &full);
    assert!(
        matches!(&greedy[..], [warning] if warning.contains("push out the others")),
        "{greedy:?}"
    );
    let over = full.replace("key =", "until = \"2020-01-01T00:00:00Z\"\nkey =");
    let over = warnings("", &over);
    assert!(
        matches!(&over[..], [warning] if warning.starts_with("a is refused")),
        "{over:?}"
    );
    let empty = warnings("", "");
    assert!(
        matches!(&empty[..], [users, resources] if users.contains("[users.NAME]") && resources.contains("[resources.NAME]")),
        "{empty:?}"
    );
}

#[test]
fn a_range_is_leased_as_a_whole_and_ipv6_by_its_prefix() {
    let text = "[resources.mosh]\nid = \"1\"\nports = [\"tcp/22\", \"udp/60000-61000\"]\nipv6-prefix = 64\n";
    let config = parse(&format!("{GATE}{text}")).unwrap();
    let mosh = config.resource(ResourceId(1)).unwrap();
    assert_eq!(
        (mosh.port_list().as_str(), mosh.ipv6_prefix),
        ("tcp/22, udp/60000-61000", 64)
    );
    let ports = PortRange {
        protocol: Protocol::Udp,
        first: 60000,
        last: 61000,
    };
    let expected = [PortRange::one(Protocol::Tcp, 22), ports].map(|ports| Protected {
        ports,
        ipv6_prefix: 64,
        forward: false,
        cut: false,
    });
    assert_eq!(config.firewall_plan().protected, expected);
    // Right beside the control port, and beside another range.
    let beside =
        "[resources.a]\nid = \"2\"\nports = [\"udp/5801-59999\", \"udp/1-5799\", \"tcp/60000-61000\"]\n";
    parse(&format!("{GATE}{text}{beside}")).unwrap();
}

#[test]
fn a_resource_for_all_users_needs_to_be_in_no_list() {
    let text = format!(
        "{GATE}[resources.wifi]\nid = \"1\"\nports = [\"tcp/80\"]\nall-users = true\n\
         [resources.ssh]\nid = \"2\"\nports = [\"tcp/22\"]\nall-users = false\n\
         [users.alice]\nid = \"1\"\nkey = \"{KEY}\"\nresources = [\"ssh\", \"wifi\"]\n\
         [users.bob]\nid = \"2\"\nkey = \"{KEY}\"\n"
    );
    let config = parse(&text).unwrap();
    let may = |user: u32, resource: u32| config.user(UserId(user)).unwrap().permits(ResourceId(resource));
    assert_eq!(
        [may(1, 1), may(1, 2), may(2, 1), may(2, 2)],
        [true, true, true, false]
    );
    // Each pair once, for the XDP program too.
    assert_eq!(config.permits().len(), 3);
}

#[test]
fn a_jump_needs_no_ports_and_is_for_the_source_unless_told() {
    let text = "[firewall]\nmode = \"chain\"\n[resources.vpn]\nid = \"2\"\nipv6-prefix = 56\njump-input = \"IN\"\n\
                jump-forward = \"THROUGH\"\njump-for-all = [\"forward\"]\n";
    let config = parse(&format!("{GATE}{text}")).unwrap();
    let to = |hook, chain: &str, for_all| JumpTo {
        hook,
        chain: chain.to_owned(),
        for_all,
    };
    let jump = Jump {
        resource: ResourceId(2),
        ipv6_prefix: 56,
        to: vec![to(Hook::Input, "IN", false), to(Hook::Forward, "THROUGH", true)],
    };
    let plan = config.firewall_plan();
    assert_eq!((plan.jumps, plan.protected), (vec![jump], vec![]));
    assert_eq!(plan.output_chain, "LETMEIN-OUTPUT");
    assert_eq!(
        config.resource(ResourceId(2)).unwrap().port_list(),
        "jump to IN, jump to THROUGH"
    );
}

/// What the shield is about, of a resource with `tcp/22` and `udp/1` and another with `tcp/80`.
fn shields(gate: &str, firewall: &str, resource: &str) -> Vec<(Protocol, u16, PortRule)> {
    let config = parse(&format!(
        "[gate]\ninterfaces = [\"eth0\"]\n{gate}\n[firewall]\n{firewall}\n\
         [resources.a]\nid = \"1\"\nports = [\"tcp/22\", \"udp/1\"]\n{resource}\n\
         [resources.b]\nid = \"2\"\nports = [\"tcp/80\"]\n"
    ))
    .unwrap();
    let mut rules = config.port_rules();
    rules.sort_by_key(|(protocol, port, _)| (*protocol, *port));
    let has = |protocol| u32::from(rules.iter().any(|rule| rule.0 == protocol));
    let settings = config.settings();
    assert_eq!(settings.shield_tcp, has(Protocol::Tcp));
    assert_eq!(settings.shield_udp, has(Protocol::Udp));
    rules
}

#[test]
fn the_shield_is_where_it_is_wanted() {
    let rule = |protocol, port| (protocol, port, PortRule::shielded(port, 128));
    let [a, b, udp] = [
        rule(Protocol::Tcp, 22),
        rule(Protocol::Tcp, 80),
        rule(Protocol::Udp, 1),
    ];
    for (gate, firewall, resource, expected) in [
        ("", "", "", vec![a, b]),
        ("", "mode = \"chain\"", "", vec![a, b]),
        ("", "", "shield = \"off\"", vec![b]),
        ("", "", "shield-udp = true", vec![a, b, udp]),
        ("", "", "shield-udp = false", vec![a, b]),
        ("", "shield = \"off\"", "", vec![]),
        ("", "shield = \"off\"", "shield = \"drop\"", vec![a]),
        (
            "",
            "shield = \"off\"",
            "shield = \"drop\"\nshield-udp = true",
            vec![a, udp],
        ),
        ("", "closed = \"reject\"", "", vec![]),
        ("", "closed = \"reject\"", "shield = \"drop\"", vec![a]),
        ("", "closed = \"reject\"\nshield = \"drop\"", "", vec![a, b]),
        ("xdp = \"off\"", "", "", vec![]),
        ("xdp = \"off\"", "shield = \"off\"", "shield = \"off\"", vec![]),
    ] {
        assert_eq!(
            shields(gate, firewall, resource),
            expected,
            "{gate} {firewall} {resource}"
        );
    }
}

#[test]
fn the_shield_has_a_rule_for_each_port_of_a_range() {
    let text = "[resources.a]\nid = \"1\"\nports = [\"tcp/22\", \"tcp/80-82\"]\nipv6-prefix = 64\n";
    let config = parse(&format!("[gate]\ninterfaces = [\"eth0\"]\n{text}")).unwrap();
    let rule = |port, first| (Protocol::Tcp, port, PortRule::shielded(first, 64));
    let expected = [rule(22, 22), rule(80, 80), rule(81, 80), rule(82, 80)];
    assert_eq!(config.port_rules(), expected);
    assert_eq!(config.shielded_ports(), "tcp/22, tcp/80-82");
}
