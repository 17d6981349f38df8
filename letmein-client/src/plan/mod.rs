//! What to do: the command line and the configuration brought together and checked.

mod choose;

use crate::{
    cli::{Cli, Knock},
    config::{self, Transport},
};
use anyhow::Context as _;
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
    pub verbose: bool,
    /// What to open or close, as the user calls it.
    pub wanted: String,
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
            (None, None) => {
                return Err(anyhow::anyhow!(
                    "name what to open: a port, a name, or an id with -r"
                ));
            }
        };
        let resource = resource.with_context(|| format!("{}: [servers.{name}]", in_file()))?;
        let transport = match (knock.server_port_tcp, knock.server_port_udp) {
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

    /// The line that tells of success.
    pub fn done(&self) -> String {
        let what = if self.operation == Operation::Revoke {
            "closed"
        } else {
            "open"
        };
        format!("{} on {} is {what}", self.wanted, self.host)
    }

    /// Says what happens, if that was asked for.
    pub fn say(&self, text: impl Display) {
        if self.verbose {
            eprintln!("letmein: {text}");
        }
    }
}
