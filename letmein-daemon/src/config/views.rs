//! What the firewall, the XDP program and the log need of a configuration.

use super::{Config, ErrorPolicy, XdpMode};
use crate::{
    firewall::{self, FirewallPlan, Jump, PortRange, Protected, Protocol},
    quota::Quota,
};
use letmein_common::{
    gate,
    maps::{PermitKey, Settings},
    shield::PortRule,
};
use std::{collections::BTreeSet, time::SystemTime};

impl Config {
    /// Every permitted pair of user and resource.
    #[must_use]
    pub fn permits(&self) -> Vec<PermitKey> {
        self.users()
            .flat_map(|(id, user)| {
                user.permits.iter().map(move |resource| PermitKey {
                    user: id,
                    resource: *resource,
                })
            })
            .collect()
    }

    /// All ports of all resources, and how they are leased.
    #[must_use]
    pub fn protected_ports(&self) -> Vec<Protected> {
        self.resources
            .values()
            .flat_map(|resource| {
                resource.ports.iter().map(|ports| Protected {
                    ports: *ports,
                    ipv6_prefix: resource.ipv6_prefix,
                    forward: resource.forward,
                    cut: resource.cut,
                })
            })
            .collect()
    }

    /// All jumps, in the order of their resources' ids.
    fn jumps(&self) -> Vec<Jump> {
        let mut jumps: Vec<_> = self
            .resources
            .values()
            .filter_map(|resource| resource.jump.clone())
            .collect();
        jumps.sort_by_key(|jump| jump.resource);
        jumps
    }

    /// The ports that the shield is about, with the prefix of IPv6 that they are leased to.
    fn shielded(&self) -> impl Iterator<Item = (PortRange, u8)> {
        self.resources.values().flat_map(|resource| {
            let ports = resource.ports.iter();
            let covered = ports.filter(|ports| resource.shield.covers(ports.protocol));
            covered.map(|ports| (*ports, resource.ipv6_prefix))
        })
    }

    /// What the XDP program does about protected ports: each port of a range has a rule, and they share the leases of the
    /// first.
    #[must_use]
    pub fn port_rules(&self) -> Vec<(Protocol, u16, PortRule)> {
        self.shielded()
            .flat_map(|(ports, ipv6_prefix)| {
                let rule = PortRule::shielded(ports.first, ipv6_prefix);
                (ports.first..=ports.last).map(move |port| (ports.protocol, port, rule))
            })
            .collect()
    }

    /// The ports that the shield is about, as `tcp/22, udp/60000-61000`.
    #[must_use]
    pub fn shielded_ports(&self) -> String {
        let ports: BTreeSet<_> = self.shielded().map(|(ports, _)| ports).collect();
        let names: Vec<_> = ports.iter().map(PortRange::to_string).collect();
        names.join(", ")
    }

    fn shields(&self, protocol: Protocol) -> bool {
        self.resources
            .values()
            .any(|resource| resource.shield.covers(protocol))
    }

    /// What the firewall has to look like.
    #[must_use]
    pub fn firewall_plan(&self) -> FirewallPlan {
        let transports = [(self.udp_socket(), Protocol::Udp), (self.gate.tcp, Protocol::Tcp)];
        FirewallPlan {
            mode: self.firewall.mode.clone(),
            protected: self.protected_ports(),
            inside: self.firewall.inside.clone(),
            forward_chain: self.firewall.forward_chain.clone(),
            output_chain: self.firewall.output_chain.clone(),
            jumps: self.jumps(),
            control: transports
                .into_iter()
                .filter_map(|(on, protocol)| on.then_some((protocol, self.gate.port)))
                .collect(),
            // Expired elements count against a set's size until the kernel collects them.
            capacity: self
                .firewall
                .max_leases
                .saturating_mul(2)
                .max(firewall::DEFAULT_CAPACITY),
        }
    }

    /// How many genuine knocks each user gets accepted.
    #[must_use]
    pub fn quota(&self) -> Quota {
        Quota::of(self.users.len(), self.gate.seen_salts)
    }

    /// What the XDP program is loaded with.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let (budget, drained) = gate::budgets(self.gate.budget);
        Settings {
            limit: self.gate.limit,
            budget,
            drained,
            quota: self.quota().limit,
            answers: gate::ANSWERS,
            prefixes: self.gate.prefixes,
            control_port: if self.gate.udp || self.gate.silent {
                u32::from(self.gate.port)
            } else {
                0
            },
            answer_strangers: u32::from(self.gate.error_policy == ErrorPolicy::Always),
            challenge: u32::from(self.gate.udp),
            silent: u32::from(self.gate.silent),
            shield_tcp: u32::from(self.shields(Protocol::Tcp)),
            shield_udp: u32::from(self.shields(Protocol::Udp)),
        }
    }

    /// Whether there is a UDP socket: silent knocks need none, if the XDP program takes them from the wire.
    #[must_use]
    pub fn udp_socket(&self) -> bool {
        self.gate.udp || (self.gate.silent && self.gate.xdp == XdpMode::Off)
    }

    /// What is allowed, but hardly meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.gate.udp && self.gate.error_policy == ErrorPolicy::Always {
            warnings.push(
                "gate.error-policy = \"always\" answers strangers over UDP: refused datagrams reach the daemon, \
                 and forged sources are sent an answer; \"basic-auth\" does neither"
                    .to_owned(),
            );
        }
        if self.gate.tcp && self.gate.max_connections_per_source >= self.gate.max_connections {
            warnings.push(
                "gate.max-connections-per-source is not below gate.max-connections: one source can take all TCP \
                 connections and push out the others"
                    .to_owned(),
            );
        }
        if self.users.is_empty() {
            warnings.push("there is no [users.NAME] section: nobody can knock".to_owned());
        }
        if self.resources.is_empty() {
            warnings
                .push("there is no [resources.NAME] section: there is nothing to protect or open".to_owned());
        }
        let now = SystemTime::now();
        let over = self.users().map(|(_, user)| user);
        for user in over.filter(|user| user.until.is_some_and(|until| until <= now)) {
            let name = &user.name;
            warnings.push(format!(
                "{name} is refused: that user's time is over (until in section [users.{name}]; `letmeind user remove \
                 {name}` takes the section away)"
            ));
        }
        warnings
    }
}
