//! What to do: the command line and the configuration brought together and checked.

use crate::{
    cli::{Cli, Knock},
    config::{self, Server, Transport},
};
use anyhow::{Context as _, bail};
use letmein_common::{ResourceId, UserId, hmac::KeyedStates, wire::challenge::Operation};
use std::time::Duration;

/// One knock or revocation.
pub struct Plan {
    pub operation: Operation,
    pub host: String,
    pub port: u16,
    pub transport: Transport,
    pub timeout: Duration,
    pub user: UserId,
    pub key: KeyedStates,
    pub resource: ResourceId,
    pub families: Families,
    pub verbose: bool,
    wanted: String,
}

/// Which addresses of the host are knocked on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// All there are; one success is enough.
    Any,
    V4,
    V6,
    /// IPv4 and IPv6, and both have to succeed.
    Both,
}

impl Plan {
    pub fn new(cli: &Cli, operation: Operation, knock: &Knock) -> anyhow::Result<Self> {
        let path = cli.config.clone().unwrap_or_else(config::default_path);
        let config = config::load(&path)?;
        let mut candidates = config
            .servers
            .iter()
            .filter(|(name, server)| **name == knock.host || server.host.as_ref() == Some(&knock.host))
            .filter(|(_, server)| knock.user.is_none() || user_of(server).ok() == knock.user);
        let Some((name, server)) = candidates.next() else {
            let user = knock
                .user
                .map(|user| format!(" with user {user}"))
                .unwrap_or_default();
            bail!(
                "{} has no [servers.NAME] section for {:?}{user}",
                path.display(),
                knock.host
            );
        };
        if let Some((other, _)) = candidates.next() {
            bail!(
                "both {name:?} and {other:?} are {:?}; give the section's name, or a user with -u",
                knock.host
            );
        }
        let wanted = knock
            .resource
            .as_ref()
            .or(knock.wanted.as_ref())
            .context("nothing to open was named")?;
        let transport = match (knock.server_port_tcp, knock.server_port_udp) {
            (true, _) => Transport::Tcp,
            (_, true) => Transport::Udp,
            _ => server.transport,
        };
        Ok(Self {
            operation,
            host: server.host.clone().unwrap_or_else(|| name.clone()),
            port: knock.server_port.unwrap_or(server.port),
            transport,
            timeout: Duration::from_secs(u64::from(server.timeout.max(1))),
            user: user_of(server)?,
            key: server.key(&path)?,
            resource: resource(server, wanted, knock.resource.is_some())?,
            families: match (knock.ipv4, knock.ipv6) {
                (false, false) => Families::Any,
                (true, false) => Families::V4,
                (false, true) => Families::V6,
                (true, true) => Families::Both,
            },
            verbose: cli.verbose,
            wanted: wanted.clone(),
        })
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
    pub fn say(&self, text: &str) {
        if self.verbose {
            eprintln!("letmein: {text}");
        }
    }
}

fn user_of(server: &Server) -> anyhow::Result<UserId> {
    server
        .user
        .parse()
        .with_context(|| format!("{:?} is no user id: up to 8 hexadecimal digits", server.user))
}

/// A resource by name, by the port it opens, or (with `-r`) by its id.
fn resource(server: &Server, wanted: &str, by_id: bool) -> anyhow::Result<ResourceId> {
    let port = wanted.parse::<u16>().ok().filter(|_| !by_id);
    let known = server.resources.get(wanted).or_else(|| {
        server
            .resources
            .values()
            .find(|resource| port.is_some() && resource.port == port)
    });
    match known {
        Some(resource) => resource
            .id
            .parse()
            .with_context(|| format!("{:?} is no resource id", resource.id)),
        None if by_id => wanted
            .parse()
            .with_context(|| format!("{wanted:?} is neither a resource of this server nor a hexadecimal id")),
        None => bail!("the server's section has no resource with name or port {wanted:?}; -r takes an id"),
    }
}
