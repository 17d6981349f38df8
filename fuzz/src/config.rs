//! The configurations of server and client: any text is refused with an error, or means something that holds together.

use letmein_daemon::config::{Config, XdpMode};
use std::{collections::HashSet, path::Path};

/// Reads a configuration.
pub fn server(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // Key files are looked for where nothing is.
    match Config::parse(text, Path::new("fuzz.toml"), Path::new("/nonexistent")) {
        Ok(config) => {
            gate(&config);
            users(&config);
            ports(&config);
            drop(format!("{config:?} {:?}", config.warnings()));
        }
        Err(error) => {
            let told = error.to_string();
            assert!(told.contains("fuzz.toml"), "which file is it about? {told}");
            keys_are_hidden(text, &told);
        }
    }
}

/// Reads a client's configuration.
pub fn client(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Err(told) = letmein_client::fuzzing::config(text) {
        assert!(!told.is_empty() && !told.contains('\n'), "one line: {told:?}");
        keys_are_hidden(text, &told);
    }
}

/// A key that is written once, in its place, is in no error.
fn keys_are_hidden(text: &str, told: &str) {
    let Ok(document) = text.parse::<toml::Table>() else {
        return;
    };
    let sections = ["users", "servers"].map(|name| document.get(name).and_then(toml::Value::as_table));
    let keys = sections.into_iter().flatten().flatten();
    for key in keys.filter_map(|(_, user)| user.get("key")?.as_str()) {
        if key.len() > 16 && text.matches(key).count() == 1 {
            assert!(!told.contains(key), "a key is told: {told}");
        }
    }
}

fn gate(config: &Config) {
    let gate = &config.gate;
    let settings = config.settings();
    assert!(gate.udp || gate.tcp || gate.silent, "no way to knock");
    assert!(gate.port != 0);
    assert!(!gate.addresses.is_empty());
    assert_eq!(
        gate.addresses.iter().collect::<HashSet<_>>().len(),
        gate.addresses.len()
    );
    assert!(gate.xdp == XdpMode::Off || !gate.interfaces.is_empty());
    assert!(gate.pending_challenges > 0 && gate.seen_salts > 0 && gate.max_connections > 0);
    assert!(gate.max_connections_per_source > 0 && !gate.control_timeout.is_zero());
    assert!(gate.pin_directory.is_absolute());
    assert!(gate.limit.tolerance.checked_add(gate.limit.interval).is_some());
    assert_eq!(settings.challenge == 1, gate.udp);
    assert_eq!(settings.silent == 1, gate.silent);
    let watches = gate.udp || gate.silent;
    assert_eq!(settings.control_port, if watches { gate.port.into() } else { 0 });
    let firewall = config.firewall_plan();
    assert!(firewall.capacity >= config.firewall.max_leases);
    assert_eq!(firewall.protected, config.protected_ports());
}

fn users(config: &Config) {
    let permits = config.permits();
    let distinct: HashSet<_> = permits.iter().collect();
    assert_eq!(distinct.len(), permits.len());
    let mut names = HashSet::new();
    for (id, user) in config.users() {
        assert!(names.insert(&user.name));
        assert_eq!(user.silent.is_some(), config.gate.silent);
        assert!(config.user(id).is_some_and(|found| found.name == user.name));
    }
    for permit in &permits {
        assert!(config.resource(permit.resource).is_some());
        let user = config.user(permit.user);
        assert!(user.is_some_and(|user| user.permits(permit.resource)));
    }
}

fn ports(config: &Config) {
    let protected = config.protected_ports();
    for (number, one) in protected.iter().enumerate() {
        assert!(one.ports.first != 0 && one.ports.first <= one.ports.last);
        let mut others = protected.iter().skip(number + 1);
        assert!(
            !others.any(|other| other.ports.overlaps(&one.ports)),
            "a port is there twice"
        );
    }
    let rules = config.port_rules();
    let distinct: HashSet<_> = rules
        .iter()
        .map(|(protocol, port, _)| (*protocol, *port))
        .collect();
    assert_eq!(distinct.len(), rules.len());
    for (protocol, port) in distinct {
        assert!(protected.iter().any(|one| one.ports.contains(protocol, port)));
    }
    assert!(config.gate.xdp != XdpMode::Off || rules.is_empty());
    let settings = config.settings();
    assert_eq!(settings.shield_tcp + settings.shield_udp == 0, rules.is_empty());
    assert_eq!(config.shielded_ports().is_empty(), rules.is_empty());
    for (id, resource) in config.resources() {
        assert!(!resource.lease.is_zero());
        assert!(
            !resource.ports.is_empty() || resource.jump.is_some(),
            "it opens nothing"
        );
        assert!((1..=128).contains(&resource.ipv6_prefix));
        assert!(resource.jump.as_ref().is_none_or(|jump| jump.resource == id));
        drop(resource.port_list());
    }
}
