//! The configuration: what the administrator wrote (`raw`), what it means (`validate` makes a [`Config`] of it),
//! and what others need of it (`views`).
//!
//! Everything is checked before anything on the machine is changed, and everything that is wrong is told at once,
//! with file, line and remedy.

pub(crate) mod duration;
mod error;
mod files;
pub(crate) mod key;
mod names;
mod port;
mod raw;
#[cfg(test)]
mod tests;
mod text;
mod validate;
mod views;

pub use error::{ConfigError, Position, Problem};
pub use port::PortError;
pub use raw::{ErrorPolicy, LogFormat, Seccomp, XdpMode};

use crate::firewall::{Jump, Mode, PortRange, Protocol};
use letmein_common::{ResourceId, UserId, bucket::Limit, hmac::KeyedStates, source::Prefixes, wire::silent};
use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Where the configuration is unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/letmein/letmeind.toml";

/// The kernel counts in ticks; a lease of less is not worth the opening.
const SHORTEST: Duration = Duration::from_millis(100);

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The processes themselves.
    pub daemon: Daemon,
    /// The control port and the checks in front of it.
    pub gate: Gate,
    /// How ports are closed and opened.
    pub firewall: FirewallSettings,
    /// Who watches over it, and how.
    pub operator: OperatorSettings,
    users: HashMap<UserId, User>,
    resources: HashMap<ResourceId, Resource>,
    folders: Vec<PathBuf>,
    /// Where it was read, if it was in a file, and for which interfaces instead of its own.
    source: Option<(PathBuf, Vec<String>)>,
}

/// Section `[daemon]`.
#[derive(Debug)]
pub struct Daemon {
    /// Who the process is that talks to the network: a name or a number.
    pub user: String,
    /// What happens when one of the processes makes a system call that it should not need.
    pub seccomp: Seccomp,
    /// What the log looks like.
    pub log_format: LogFormat,
}

/// Section `[gate]`.
#[derive(Debug)]
pub struct Gate {
    /// Where the XDP program attaches. Empty only with `xdp = "off"`.
    pub interfaces: Vec<String>,
    /// The control port, the same for UDP and TCP.
    pub port: u16,
    /// Whether challenge knocks are taken over UDP.
    pub udp: bool,
    /// Whether challenge knocks are taken over TCP.
    pub tcp: bool,
    /// The local addresses to listen on, none of them twice or covered by another.
    pub addresses: Vec<IpAddr>,
    /// Which XDP hook.
    pub xdp: XdpMode,
    /// Who gets an answer to a refused knock.
    pub error_policy: ErrorPolicy,
    /// How long one exchange may take.
    pub control_timeout: Duration,
    /// TCP connections at one time.
    pub max_connections: u32,
    /// TCP connections at one time from one source network.
    pub max_connections_per_source: u32,
    /// How many pending challenges are remembered.
    pub pending_challenges: u32,
    /// How many salts are remembered, and as many nonces of silent knocks.
    pub seen_salts: u32,
    /// Whether silent knocks are taken.
    pub silent: bool,
    /// The number that tells this gate from others that hold the same keys.
    pub number: u32,
    /// Where the nonces of accepted silent knocks are pinned, in a BPF file system.
    pub pin_directory: PathBuf,
    /// What a source network may send.
    pub limit: Limit,
    /// How many HMACs each CPU computes, for each kind of sender.
    pub budget: Limit,
    /// What a source network is.
    pub prefixes: Prefixes,
}

/// Section `[firewall]`.
#[derive(Debug)]
pub struct FirewallSettings {
    /// Whose table the rules live in.
    pub mode: Mode,
    /// Leases that may live at one time.
    pub max_leases: u32,
    /// The longest that a lease may be for.
    pub max_lease: Duration,
    /// Requests to open or close that are carried out each second.
    pub max_opens_per_second: u32,
    /// Chain mode: the chain for what is forwarded.
    pub forward_chain: String,
    /// Chain mode: the chain for what this machine sends.
    pub output_chain: String,
    /// Guard mode: interfaces from which connections are forwarded unseen.
    pub inside: Vec<String>,
}

/// Section `[operator]`. Whether there are such groups is seen when the sockets are made.
#[derive(Debug, PartialEq, Eq)]
pub struct OperatorSettings {
    /// Where commands such as `letmeind status` come in.
    pub socket: PathBuf,
    /// Who may use it besides root.
    pub group: Option<String>,
    /// Where metrics are asked for, if they are to be told.
    pub metrics: Option<MetricsAddress>,
    /// Who may ask on a socket besides root.
    pub metrics_group: Option<String>,
}

/// Where metrics are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// An address of the loopback interface, and a port.
    Loopback(SocketAddr),
}

/// A user: a key and what it opens.
pub struct User {
    /// What the user's client calls itself.
    pub id: UserId,
    /// The section's name, for the log.
    pub name: String,
    /// The key, ready to verify with.
    pub key: KeyedStates,
    /// The keys of silent knocks, if these are taken.
    pub silent: Option<Box<silent::Keys>>,
    /// Whether a silent knock may open for another address than its source.
    pub other_addresses: bool,
    /// When the user's time is over, and every lease of the user's with it.
    pub until: Option<SystemTime>,
    /// Sorted.
    pub(crate) permits: Vec<ResourceId>,
}

/// What a knock opens.
#[derive(Debug)]
pub struct Resource {
    /// The section's name, for the log.
    pub name: String,
    /// The ports and ranges of ports, all opened together.
    pub ports: Vec<PortRange>,
    /// Leading bits of an IPv6 address that hold a lease.
    pub ipv6_prefix: u8,
    /// Whether that is for services behind this machine, too.
    pub forward: bool,
    /// Whether connections end with their lease.
    pub cut: bool,
    /// What it jumps to in the user's own rules.
    pub jump: Option<Jump>,
    /// For how long.
    pub lease: Duration,
    /// What of it the XDP program closes, too.
    pub shield: Shield,
}

/// Which packets without a lease the XDP program drops, before the firewall sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shield {
    /// SYNs to TCP ports.
    pub tcp: bool,
    /// All datagrams to UDP ports.
    pub udp: bool,
}

impl Config {
    /// Reads and checks a file and the key files it names, which are looked for from the file's own folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_for(path, &[])
    }

    /// As [`Config::load`], but for these interfaces instead of those in the file, unless there are none.
    pub fn load_for(path: &Path, interfaces: &[String]) -> Result<Self, ConfigError> {
        let mut config = validate::load(path, interfaces)?;
        config.source = Some((path.to_owned(), interfaces.to_owned()));
        Ok(config)
    }

    /// The file that it was read from; none if it was not.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.source.as_ref().map(|(path, _)| path.as_path())
    }

    /// What the same file says now; none if it was not in a file.
    #[must_use]
    pub fn read_again(&self) -> Option<Result<Self, ConfigError>> {
        let (path, interfaces) = self.source.as_ref()?;
        Some(Self::load_for(path, interfaces))
    }

    /// Checks a text. Errors call it `path`; key files are looked for from `folder`. A key in the text itself is
    /// accepted: who may read the text is for the caller to know.
    pub fn parse(text: &str, path: &Path, folder: &Path) -> Result<Self, ConfigError> {
        validate::parse(text, path, folder)
    }

    /// The folders that it was read from: of the file itself, and of the keys.
    #[must_use]
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The user with this id.
    #[must_use]
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(&id)
    }

    /// The resource with this id.
    #[must_use]
    pub fn resource(&self, id: ResourceId) -> Option<&Resource> {
        self.resources.get(&id)
    }

    /// All users, in no particular order.
    pub fn users(&self) -> impl Iterator<Item = (UserId, &User)> {
        self.users.iter().map(|(id, user)| (*id, user))
    }

    /// All resources, in no particular order.
    pub fn resources(&self) -> impl Iterator<Item = (ResourceId, &Resource)> {
        self.resources.iter().map(|(id, resource)| (*id, resource))
    }
}

impl User {
    /// Whether the user may open the resource.
    #[must_use]
    pub fn permits(&self, resource: ResourceId) -> bool {
        self.permits.binary_search(&resource).is_ok()
    }

    /// All that the user may open, in the order of the ids.
    #[must_use]
    pub fn permitted(&self) -> &[ResourceId] {
        &self.permits
    }

    /// For how long the user may open something at this moment, no longer than `wanted`; `None` when the user's time is
    /// over.
    #[must_use]
    pub fn lease(&self, wanted: Duration, now: SystemTime) -> Option<Duration> {
        let Some(until) = self.until else {
            return Some(wanted);
        };
        let left = until.duration_since(now).unwrap_or_default();
        Some(wanted.min(left)).filter(|lease| *lease >= SHORTEST)
    }
}

impl fmt::Debug for User {
    /// Shows no key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Resource {
    /// What a knock opens, as `tcp/22, udp/60000-61000` or `jump to VPN-IN`.
    #[must_use]
    pub fn port_list(&self) -> String {
        let ports = self.ports.iter().map(PortRange::to_string);
        let jumps = self.jump.iter().flat_map(|jump| &jump.to);
        ports
            .chain(jumps.map(|to| format!("jump to {}", to.chain)))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl Shield {
    /// Whether it is about ports of this protocol.
    #[must_use]
    pub const fn covers(self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => self.tcp,
            Protocol::Udp => self.udp,
        }
    }
}
