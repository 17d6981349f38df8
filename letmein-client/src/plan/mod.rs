//! What to do: the command line and the configuration brought together and checked.

mod choose;

use crate::{
    cli::{Cli, Knock},
    config::{self, Address, Mode, Server, Transport},
};
use anyhow::{Context as _, anyhow, bail};
use letmein_common::{ResourceId, UserId, hmac::KeyedStates, wire::challenge::Operation};
use std::{fmt::Display, time::Duration};

/// One knock or revocation.
pub struct Plan {
    pub operation: Operation,
    pub host: String,
    pub port: u16,
    pub transport: Transport,
    pub timeout: Duration,
    pub user: UserId,
    pub key: Box<KeyedStates>,
    pub resource: ResourceId,
    pub families: Families,
    /// What a silent knock says besides; `None` for a challenge knock.
    pub silent: Option<Silent>,
    /// The port that has to open, and how long to wait for it.
    pub wait: Option<Wait>,
    pub verbose: bool,
    /// What to open or close, as the user calls it.
    pub wanted: String,
}

/// What only a silent knock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silent {
    pub gate_number: u32,
    pub address: Address,
    /// 0 for as long as the resource says.
    pub lease_seconds: u32,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Over TCP.
    pub port: u16,
    pub duration: Duration,
}

/// Which addresses of the host are knocked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// All there are; one success is enough.
    Any,
    V4,
    V6,
    /// IPv4 and IPv6, and both have to succeed.
    Both,
}

impl Plan {
    /// Reads the configuration and finds in it what the command line asks for.
    pub fn new(cli: &Cli, operation: Operation, knock: &Knock) -> anyhow::Result<Self> {
        let path = config::find(cli.config.as_deref())?;
        let config = config::load(&path)?;
        let in_file = || path.display().to_string();
        let (name, server) = choose::server(&config, &knock.host, knock.user).with_context(in_file)?;
        let key = server
            .key(&path)
            .with_context(|| format!("the key of [servers.{name}]"))?;
        let (wanted, resource) = match (&knock.resource, &knock.wanted) {
            (Some(wanted), _) => (wanted, choose::by_id_or_name(server, wanted)),
            (None, Some(wanted)) => (wanted, choose::by_port_or_name(server, wanted)),
            (None, None) => bail!("name what to open: a port, a name, or an id with -r"),
        };
        let in_section = || format!("{}: [servers.{name}]", in_file());
        let resource = resource.with_context(in_section)?;
        let silent = silent(operation, knock, server).with_context(in_section)?;
        let wait = wait(operation, knock, server, resource).with_context(in_section)?;
        let transport = match (knock.server_port_tcp, knock.server_port_udp) {
            _ if silent.is_some() => Transport::Udp,
            (true, _) => Transport::Tcp,
            (_, true) => Transport::Udp,
            _ => server.transport,
        };
        let plan = Self {
            operation,
            host: server.host.clone().unwrap_or_else(|| name.to_owned()),
            port: knock.server_port.unwrap_or(server.port),
            transport,
            timeout: server.timeout,
            user: server.user,
            key,
            resource,
            families: match (knock.ipv4, knock.ipv6) {
                (false, false) => Families::Any,
                (true, false) => Families::V4,
                (false, true) => Families::V6,
                (true, true) => Families::Both,
            },
            silent,
            wait,
            verbose: cli.verbose,
            wanted: wanted.clone(),
        };
        plan.say(format_args!(
            "{}: [servers.{name}], user {}, resource {resource}",
            path.display(),
            plan.user
        ));
        Ok(plan)
    }

    /// Whether all there is to do is to send something.
    pub fn only_sends(&self) -> bool {
        self.silent.is_some() && self.wait.is_none()
    }

    /// The line that tells of success, which took this long.
    pub fn done(&self, took: Duration) -> String {
        let (wanted, host) = (&self.wanted, &self.host);
        match (self.operation, self.silent, self.wait) {
            (Operation::Revoke, Some(_), _) => format!("{wanted} on {host}: silent revocation sent"),
            (Operation::Revoke, None, _) => format!("{wanted} on {host} is closed"),
            (_, _, Some(_)) => format!("{wanted} on {host} is open, after {} ms", took.as_millis().max(1)),
            (_, Some(_), None) => format!("{wanted} on {host}: silent knock sent"),
            (_, None, None) => format!("{wanted} on {host} is open"),
        }
    }

    /// Says what happens, if that was asked for.
    pub fn say(&self, text: impl Display) {
        if self.verbose {
            eprintln!("letmein: {text}");
        }
    }
}

/// Whether to knock silently, and with what.
fn silent(operation: Operation, knock: &Knock, server: &Server) -> anyhow::Result<Option<Silent>> {
    if operation == Operation::Revoke && knock.lease_seconds.is_some() {
        bail!("--for is about opening; leave it out");
    }
    if !(knock.silent || server.mode == Mode::Silent && !knock.challenge) {
        if knock.address.is_some() || knock.lease_seconds.is_some() {
            bail!(
                "--address and --for are for silent knocks, which this is not; add --silent, or mode = \"silent\" to \
                 the section"
            );
        }
        return Ok(None);
    }
    if knock.server_port_tcp {
        bail!("-T knocks over TCP, which no silent knock does; add --challenge, or leave it out");
    }
    Ok(Some(Silent {
        gate_number: server.gate_number,
        address: knock.address.unwrap_or(server.address),
        lease_seconds: knock.lease_seconds.unwrap_or(0),
    }))
}

/// What to wait for, if that was asked for: a port that was named, or the one that the configuration has.
fn wait(
    operation: Operation,
    knock: &Knock,
    server: &Server,
    resource: ResourceId,
) -> anyhow::Result<Option<Wait>> {
    let Some(duration) = knock.wait else {
        return Ok(None);
    };
    if operation == Operation::Revoke {
        bail!("--wait is about opening; leave it out");
    }
    let named = knock.wanted.as_ref().and_then(|wanted| wanted.parse().ok());
    let configured = || {
        server
            .resources
            .values()
            .filter(|one| one.id == resource)
            .find_map(|one| one.port)
    };
    let port = named.or_else(configured).ok_or_else(|| {
        anyhow!("--wait tries a TCP port, and resource {resource} has none here; add port = NUMBER to it")
    })?;
    Ok(Some(Wait { port, duration }))
}
