//! Each thing that can be wrong: the line that is blamed, and what is said about it.

use super::{GATE, KEY, parse};
use crate::config::Position;

/// Asserts that exactly these problems are told: line and a part of the text.
#[track_caller]
pub(super) fn refused(text: &str, expected: &[(usize, &str)]) {
    let error = parse(text).expect_err(text);
    let told: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| (problem.position.unwrap().line, &problem.text))
        .collect();
    let as_expected = told.len() == expected.len()
        && told
            .iter()
            .zip(expected)
            .all(|((line, text), (at, part))| line == at && text.contains(part));
    assert!(as_expected, "\n{text}\nexpected {expected:#?}\ntold {told:#?}");
}

#[test]
fn syntax_and_shape() {
    for (text, line, part) in [
        ("", 1, "gate.interfaces names no interface"),
        ("[gate\n", 1, "unclosed table"),
        (
            "\n[gate]\nprot = 1",
            3,
            "unknown field `prot`, expected one of `interfaces`, `port`",
        ),
        (
            "\n\n[gaet]",
            3,
            "unknown field `gaet`, expected one of `daemon`, `gate`, `firewall`, `operator`, `resources`, `users`",
        ),
        (
            "[daemon]\nusr = 1",
            2,
            "unknown field `usr`, expected one of `user`, `seccomp`, `log-format`",
        ),
        (
            "[daemon]\nseccomp = \"on\"",
            2,
            "unknown variant `on`, expected one of `off`, `log`, `kill`",
        ),
        ("[firewall]\n\nclose = 1", 3, "unknown field `close`"),
        ("[users.a]\nid = \"1\"\nkeyfile = 1", 3, "unknown field `keyfile`"),
        (
            "[resources.a]\nport = 1",
            2,
            "unknown field `port`, expected one of `id`, `ports`, `lease`",
        ),
        (
            "[gate]\nport = 1\nport = 2",
            3,
            "duplicate key; it is there twice",
        ),
        ("[users.a]\n[users.a]", 2, "duplicate key; it is there twice"),
        ("[gate]\nport = \"5800\"", 2, "expected i64"),
        (
            "[gate]\nxdp = \"on\"",
            2,
            "unknown variant `on`, expected one of `auto`, `native`, `generic`, `off`",
        ),
        (
            "[gate]\ntransports = [\n\"udp\",\n\"sctp\"]",
            4,
            "expected `udp` or `tcp`",
        ),
        (
            "[gate]\nerror-policy = \"never\"",
            2,
            "expected one of `always`, `basic-auth`, `full-auth`",
        ),
        ("[firewall]\nmode = \"x\"", 2, "expected `guard` or `chain`"),
        ("[firewall]\nclosed = \"x\"", 2, "expected `drop` or `reject`"),
        ("[gate]\ncontrol-timeout = 5", 2, "in quotes and with its unit"),
        ("[resources.a]\nid = 1", 2, "an id is written in quotes"),
        ("[resources.a]\nid = 00000001", 2, "written in quotes"),
        ("[resources.a]\nports = [22]", 2, "a port is written in quotes"),
        ("[users.a]\nkey = 1", 2, "a key is written in quotes"),
        (
            "[users.a]\nuntil = 2030-12-31",
            2,
            "a moment is written in quotes",
        ),
        ("[users]\na = 1", 2, "expected a section [users.NAME]"),
        ("gate = 1", 1, "expected a section [gate]"),
    ] {
        refused(text, &[(line, part)]);
    }
}

#[test]
fn gate() {
    for (options, line, part) in [
        ("port = 0", 3, "gate.port is 0; it may be from 1 to 65535"),
        ("port = 65536", 3, "from 1 to 65535"),
        ("transports = []", 3, "gate.transports is empty"),
        (
            "transports = [\"udp\",\n\"udp\"]",
            4,
            "\"udp\" is in this list twice",
        ),
        ("addresses = []", 3, "gate.addresses is empty"),
        ("addresses = [\"host\"]", 3, "\"host\" is no address"),
        (
            "addresses = [\"::1\",\n\"0::1\"]",
            4,
            "\"::1\" is in this list twice",
        ),
        (
            "addresses = [\"192.0.2.1\",\n\"0.0.0.0\"]",
            3,
            "\"192.0.2.1\" is among \"0.0.0.0\" already",
        ),
        (
            "addresses = [\"::\",\n\"::1\"]",
            4,
            "\"::1\" is among \"::\" already",
        ),
        (
            "interfaces = [\"eth0\", \"eth0\"]",
            3,
            "\"eth0\" is in this list twice",
        ),
        (
            "interfaces = [\"eth0\",\n\"a/b\"]",
            4,
            "cannot be the name of an interface",
        ),
        (
            "control-timeout = \"0s\"",
            3,
            "gate.control-timeout: \"0s\" is out of bounds; this may be from 100ms to 10m",
        ),
        ("control-timeout = \"11m\"", 3, "from 100ms to 10m"),
        ("control-timeout = \"5\"", 3, "lacks a unit; write \"5s\""),
        ("max-connections = 0", 3, "gate.max-connections is 0"),
        (
            "max-connections-per-source = 0",
            3,
            "gate.max-connections-per-source is 0",
        ),
        ("max-connections = -1", 3, "gate.max-connections is -1"),
        ("rate = -1", 3, "gate.rate is -1"),
        ("rate = 1000001", 3, "gate.rate is 1000001"),
        ("burst = 0", 3, "gate.burst is 0; it may be from 1"),
        (
            "hmac-budget = -1",
            3,
            "gate.hmac-budget is -1; it may be from 0 to 1000000",
        ),
        ("source-prefix-ipv4 = 0", 3, "from 1 to 32"),
        ("source-prefix-ipv4 = 33", 3, "from 1 to 32"),
        ("source-prefix-ipv6 = 0", 3, "from 1 to 128"),
        ("source-prefix-ipv6 = 129", 3, "from 1 to 128"),
        ("pending-challenges = 0", 3, "gate.pending-challenges is 0"),
        ("seen-salts = 4294967297", 3, "gate.seen-salts is 4294967297"),
    ] {
        refused(&format!("{GATE}{options}"), &[(line, part)]);
    }
    for text in ["\n[gate]", "\n[gate]\nport = 1", "\n[gate] # x\nxdp = \"native\""] {
        refused(text, &[(2, "write interfaces = [\"eth0\"]")]);
    }
    refused("[gate]\n\ninterfaces = []", &[(3, "or xdp = \"off\"")]);
}

#[test]
fn firewall() {
    for (options, line, part) in [
        (
            "table = \"filter\"",
            4,
            "firewall.table belongs to mode = \"chain\"",
        ),
        (
            "mode = \"guard\"\nchain = \"x\"",
            5,
            "firewall.chain belongs to mode = \"chain\"",
        ),
        (
            "mode = \"chain\"\nclosed = \"drop\"",
            5,
            "firewall.closed belongs to mode = \"guard\"",
        ),
        (
            "mode = \"chain\"\ntable = \"a b\"",
            5,
            "name of a table in nftables",
        ),
        (
            "mode = \"chain\"\nchain = \"1\"",
            5,
            "name of a chain in nftables",
        ),
        ("mode = \"chain\"\ntable = \"letmein\"", 5, "letmeind's own"),
        (
            "forward-chain = \"x\"",
            4,
            "firewall.forward-chain belongs to mode = \"chain\"",
        ),
        (
            "mode = \"chain\"\ninside-interfaces = []",
            5,
            "firewall.inside-interfaces belongs to mode = \"guard\"",
        ),
        (
            "mode = \"chain\"\nforward-chain = \"LETMEIN-INPUT\"",
            5,
            "firewall.chain and firewall.forward-chain are both \"LETMEIN-INPUT\"",
        ),
        (
            "mode = \"chain\"\noutput-chain = \"x\"\nforward-chain = \"x\"",
            5,
            "firewall.forward-chain and firewall.output-chain are both \"x\"",
        ),
        ("output-chain = \"x\"", 4, "firewall.output-chain belongs to mode"),
        (
            "inside-interfaces = [\"br-*\",\n\"b*r\"]",
            5,
            "a * may only be at the end",
        ),
        (
            "inside-interfaces = [\"br-*\",\n\"br-*\"]",
            5,
            "is in this list twice",
        ),
        (
            "inside-interfaces = [\"*\"]",
            4,
            "cannot be the name of an interface",
        ),
        (
            "default-lease = \"0s\"",
            4,
            "firewall.default-lease: \"0s\" is out of bounds",
        ),
        ("max-lease = \"8761h\"", 4, "from 1s to 8760h"),
        ("max-lease = \"1d\"", 4, "write hours: \"24h\""),
        (
            "max-lease = \"1h\"\ndefault-lease = \"61m\"",
            5,
            "is 1h1m, longer than firewall.max-lease (1h)",
        ),
        (
            "default-lease = \"25h\"",
            4,
            "longer than firewall.max-lease (24h)",
        ),
        ("max-leases = 0", 4, "firewall.max-leases is 0"),
        (
            "max-opens-per-second = 0",
            4,
            "firewall.max-opens-per-second is 0",
        ),
    ] {
        refused(&format!("{GATE}[firewall]\n{options}"), &[(line, part)]);
    }
}

#[test]
fn resources() {
    let ssh = "[resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\n";
    for (sections, line, part) in [
        (
            "[resources.a]\nports = [\"tcp/1\"]",
            6,
            "resource \"a\" has no id; add one such as id = \"0000001A\"",
        ),
        (
            "[resources.a]\nid = \"x\"\nports = [\"tcp/1\"]",
            7,
            "the id of resource \"a\": \"x\" is no id",
        ),
        (
            "[resources.a]\nid = \"0001\"\nports = [\"tcp/1\"]",
            7,
            "has the id 00000001 of resource \"ssh\" (line 4)",
        ),
        ("[resources.a]\nid = \"2\"", 6, "resource \"a\" has no ports"),
        (
            "[resources.a]\nid = \"2\"\nports = []",
            8,
            "resource \"a\" has no ports",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"tcp/0\"]",
            8,
            "\"tcp/0\" has no port number from 1 to 65535",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"tcp/2-1\"]",
            8,
            "is a range that does not go up",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"22\"]",
            8,
            "\"22\" is no port",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"tcp/1\",\n\"tcp/1\"]",
            9,
            "names tcp/1 twice (line 8)",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"tcp/1\"]\nipv6-prefix = 0",
            9,
            "the ipv6-prefix of resource \"a\" is 0; it may be from 1 to 128",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"tcp/1\"]\nipv6-prefix = 129",
            9,
            "it may be from 1 to 128",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"udp/22\",\n\"tcp/22\"]",
            9,
            "belongs to resource \"ssh\" (line 5)",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"tcp/5800\"]",
            8,
            "uses tcp/5800, which is the control port, 5800 unless",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"udp/5800\"]",
            8,
            "choose another port or change gate.port",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"tcp/1\"]\nlease = \"25h\"",
            9,
            "the lease of resource \"a\" is 25h, longer",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"tcp/1\"]\nlease = \"0s\"",
            9,
            "out of bounds",
        ),
        (
            "[resources.\"*\"]\nid = \"2\"\nports = [\"tcp/1\"]",
            6,
            "choose another name",
        ),
        (
            "[resources.\"\"]\nid = \"2\"\nports = [\"tcp/1\"]",
            6,
            "is no usable name",
        ),
        (
            "[resources.\"a\\nb\"]\nid = \"2\"\nports = [\"tcp/1\"]",
            6,
            "is no usable name",
        ),
    ] {
        refused(&format!("{GATE}{ssh}{sections}"), &[(line, part)]);
    }
}

#[test]
fn users() {
    let key = format!("key = \"{KEY}\"\n");
    let ssh = "[resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\n";
    let eve = format!("[users.eve]\nid = \"1\"\n{key}resources = [\"ssh\"]\n");
    // The user under test begins in line 10.
    for (user, line, part) in [
        (format!("{key}resources = [\"ssh\"]"), 10, "user \"a\" has no id"),
        (format!("id = \"+2\"\n{key}resources = [\"ssh\"]"), 11, "is no id"),
        (
            format!("id = \"01\"\n{key}resources = [\"ssh\"]"),
            11,
            "has the id 00000001 of user \"eve\" (line 7)",
        ),
        (
            "id = \"2\"\nresources = [\"ssh\"]".to_owned(),
            10,
            "no key is given; add key-file = \"keys/a.key\"",
        ),
        (
            format!("id = \"2\"\n{key}key-file = \"k\"\nresources = [\"ssh\"]"),
            12,
            "both key and key-file",
        ),
        (
            "id = \"2\"\nkey = \"12\"\nresources = [\"ssh\"]".to_owned(),
            12,
            "64 hexadecimal digits, not 2",
        ),
        (
            format!("id = \"2\"\nkey = \"{}\"\nresources = [\"ssh\"]", "0".repeat(64)),
            12,
            "a key of zeros",
        ),
        (
            "id = \"2\"\nkey-file = \"no\"\nresources = [\"ssh\"]".to_owned(),
            12,
            "/nonexistent/no cannot be read",
        ),
        (format!("id = \"2\"\n{key}"), 10, "user \"a\" may open nothing"),
        (
            format!("id = \"2\"\n{key}resources = [\"ssh\"]\nuntil = \"2030-12-31\""),
            14,
            "until = \"2030-12-31\" is no moment; write it in UTC, such as",
        ),
        (
            format!("id = \"2\"\n{key}resources = []"),
            13,
            "or all with [\"*\"]",
        ),
        (
            format!("id = \"2\"\n{key}resources = [\"ssh\",\n\"shs\"]"),
            14,
            "no section [resources.shs]; there is: \"ssh\"",
        ),
        (
            format!("id = \"2\"\n{key}resources = [\"ssh\",\n\"ssh\"]"),
            14,
            "\"ssh\" is in this list twice",
        ),
        (
            format!("id = \"2\"\n{key}resources = [\"ssh\",\n\"*\"]"),
            14,
            "\"*\" means all resources already",
        ),
    ] {
        refused(&format!("{GATE}{ssh}{eve}[users.a]\n{user}"), &[(line, part)]);
    }
}

#[test]
fn a_shield_that_cannot_be() {
    let resource =
        |ports: &str, options: &str| format!("[resources.r]\nid = \"1\"\nports = [{ports}]\n{options}\n");
    let (with, without) = ("[gate]\ninterfaces = [\"eth0\"]\n", GATE);
    let both = "\"tcp/22\", \"udp/1\"";
    for (text, line, part) in [
        (
            format!("{without}[firewall]\nshield = \"drop\"\n"),
            4,
            "firewall.shield needs the XDP program, which gate.xdp = \"off\" switches off",
        ),
        (
            format!("{without}{}", resource(both, "shield = \"drop\"")),
            6,
            "the shield of resource \"r\" needs the XDP program",
        ),
        (
            format!("{without}{}", resource(both, "shield-udp = true")),
            6,
            "shield-udp of resource \"r\" needs the XDP program",
        ),
        (
            format!("{with}{}", resource(both, "shield = \"off\"\nshield-udp = true")),
            7,
            "needs shield = \"drop\" in the same section",
        ),
        (
            format!(
                "{with}{}[firewall]\nshield = \"off\"",
                resource(both, "shield-udp = true")
            ),
            6,
            "needs shield = \"drop\" in the same section",
        ),
        (
            format!("{with}{}", resource("\"tcp/22\"", "shield-udp = true")),
            6,
            "needs a UDP port, and there is none",
        ),
        (
            format!("{with}{}", resource("\"udp/1\"", "shield = \"drop\"")),
            6,
            "is for TCP ports, and there is none; add shield-udp = true",
        ),
        (
            format!("{with}[firewall]\nshield = \"on\""),
            4,
            "unknown variant `on`, expected `drop` or `off`",
        ),
    ] {
        refused(&text, &[(line, part)]);
    }
}

#[test]
fn everything_is_told_at_once_in_order() {
    let text = "[users.a]\nid = \"x\"\n[resources.r]\nid = \"1\"\n[gate]\nport = 0\nrate = -1\n[firewall]\nmax-lease = \"1\"";
    refused(
        text,
        &[
            (1, "no key is given"),
            (1, "may open nothing"),
            (2, "is no id"),
            (3, "has no ports"),
            (5, "gate.interfaces"),
            (6, "gate.port"),
            (7, "gate.rate"),
            (9, "lacks a unit"),
        ],
    );
    let shown = parse(text).unwrap_err().to_string();
    assert_eq!(shown.lines().count(), 8);
    assert_eq!(
        shown.lines().nth(5),
        Some("f.toml:6:8: gate.port is 0; it may be from 1 to 65535")
    );
}

#[test]
fn columns_count_characters() {
    let error = parse("[gate]\nxdp = \"off\"\naddresses = [\"\u{e4}\u{f6}\", \"x\"]").unwrap_err();
    let columns: Vec<_> = error.problems().iter().map(|problem| problem.position).collect();
    assert_eq!(
        columns,
        [
            Some(Position { line: 3, column: 14 }),
            Some(Position { line: 3, column: 20 })
        ]
    );
}

#[test]
fn a_resource_without_a_usable_id_may_still_be_named() {
    let text = format!(
        "{GATE}[resources.ssh]\nid = \"x\"\nports = [\"tcp/22\"]\n[users.a]\nid = \"1\"\nkey = \"{KEY}\"\nresources = [\"ssh\"]"
    );
    refused(&text, &[(4, "is no id")]);
}

#[test]
fn operators() {
    let long = format!("/run/{}", "s".repeat(120));
    for (option, part) in [
        ("socket = \"gate.sock\"", "operator.socket is an absolute path"),
        ("socket = \"/\"", "operator.socket is an absolute path"),
        (&*format!("socket = \"{long}\""), "at most 107 bytes"),
    ] {
        refused(
            &format!("{GATE}[operator]\n{option}\n"),
            &[(GATE.lines().count() + 2, part)],
        );
    }
}

/// Nobody but this machine gets to ask.
#[test]
fn metrics_elsewhere() {
    for address in [
        "0.0.0.0:9580",
        "[::]:9580",
        "192.0.2.1:9580",
        "127.0.0.1",
        "127.0.0.1:0",
        "localhost:9580",
        "metrics.sock",
        "/",
        "",
    ] {
        let text = format!("{GATE}[operator]\nmetrics = \"{address}\"\n");
        refused(
            &text,
            &[(
                GATE.lines().count() + 2,
                "operator.metrics is the absolute path of a Unix socket",
            )],
        );
    }
    let text = format!("{GATE}[operator]\nmetrics = \"127.0.0.1:9580\"\nmetrics-group = \"root\"\n");
    refused(
        &text,
        &[(
            GATE.lines().count() + 3,
            "operator.metrics-group is for a Unix socket",
        )],
    );
}
