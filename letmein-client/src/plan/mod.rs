//! What to do: the command line and the configuration brought together and checked.

mod book;
mod choose;
mod targets;

pub use book::Book;
pub use targets::targets;

use crate::{
    cli::How,
    config::{Address, Mode, Server, Transport},
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
    /// The port of the service behind, as far as it is known: the one that was named, or the configuration's.
    pub service: Option<u16>,
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

impl Families {
    /// Those that `-4` and `-6` ask for.
    pub fn of(how: &How) -> Self {
        match (how.ipv4, how.ipv6) {
            (false, false) => Self::Any,
            (true, false) => Self::V4,
            (false, true) => Self::V6,
            (true, true) => Self::Both,
        }
    }
}

/// What to open or close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// By the name of a resource, or by its port.
    Wanted(String),
    /// By its port alone.
    Port(u16),
    /// By the name of a resource, or by its id.
    IdOrName(String),
    /// What SSH needs: the resource with that name, or with its port.
    Ssh,
}

impl Plan {
    /// Finds in the configuration what is asked for.
    pub fn new(
        book: &Book,
        operation: Operation,
        host: &str,
        what: &What,
        how: &How,
        verbose: bool,
    ) -> anyhow::Result<Self> {
        let (name, server) = book.server(host, how.user)?;
        let key = book.key(name, server)?;
        let in_section = || format!("{}: [servers.{name}]", book.path.display());
        let (wanted, resource) = match what {
            What::Wanted(wanted) => (wanted.as_str(), choose::by_port_or_name(server, wanted)),
            What::Port(port) => (&*port.to_string(), choose::by_port(server, *port)),
            What::IdOrName(wanted) => (wanted.as_str(), choose::by_id_or_name(server, wanted)),
            What::Ssh => ("ssh", choose::ssh(server)),
        };
        let resource = resource.with_context(in_section)?;
        let silent = silent(operation, how, server).with_context(in_section)?;
        let named = match what {
            What::Wanted(wanted) => wanted.parse().ok().filter(|port| *port != 0),
            What::Port(port) => Some(*port),
            What::IdOrName(_) | What::Ssh => None,
        };
        let service = named.or_else(|| choose::port(server, resource));
        let wait = wait(operation, how, service, resource).with_context(in_section)?;
        let transport = match (how.server_port_tcp, how.server_port_udp) {
            _ if silent.is_some() => Transport::Udp,
            (true, _) => Transport::Tcp,
            (_, true) => Transport::Udp,
            _ => server.transport,
        };
        let plan = Self {
            operation,
            host: server.host.clone().unwrap_or_else(|| name.to_owned()),
            port: how.server_port.unwrap_or(server.port),
            transport,
            timeout: server.timeout,
            user: server.user,
            key,
            resource,
            families: Families::of(how),
            silent,
            wait,
            service,
            verbose,
            wanted: wanted.to_owned(),
        };
        plan.say(format_args!(
            "{}, user {}, resource {resource}",
            in_section(),
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

    /// What has been done, in one word.
    pub fn state(&self) -> &'static str {
        match (self.operation, self.silent, self.wait) {
            (Operation::Revoke, None, _) => "closed",
            (_, Some(_), None) => "sent",
            _ => "open",
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
fn silent(operation: Operation, how: &How, server: &Server) -> anyhow::Result<Option<Silent>> {
    if operation == Operation::Revoke && how.lease_seconds.is_some() {
        bail!("--for is about opening; leave it out");
    }
    if !(how.silent || server.mode == Mode::Silent && !how.challenge) {
        if how.address.is_some() || how.lease_seconds.is_some() {
            bail!(
                "--address and --for are for silent knocks, which this is not; add --silent, or mode = \"silent\" to \
                 the section"
            );
        }
        return Ok(None);
    }
    if how.server_port_tcp {
        bail!("-T knocks over TCP, which no silent knock does; add --challenge, or leave it out");
    }
    Ok(Some(Silent {
        gate_number: server.gate_number,
        address: how.address.unwrap_or(server.address),
        lease_seconds: how.lease_seconds.unwrap_or(0),
    }))
}

/// What to wait for, if that was asked for.
fn wait(
    operation: Operation,
    how: &How,
    service: Option<u16>,
    resource: ResourceId,
) -> anyhow::Result<Option<Wait>> {
    let Some(duration) = how.wait else {
        return Ok(None);
    };
    if operation == Operation::Revoke {
        bail!("--wait is about opening; leave it out");
    }
    let port = service.ok_or_else(|| {
        anyhow!("--wait tries a TCP port, and resource {resource} has none here; add port = NUMBER to it")
    })?;
    Ok(Some(Wait { port, duration }))
}
