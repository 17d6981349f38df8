//! The shape of the file, with serde. Everything is optional here, because `validate` has the better words for
//! what is missing.

use super::text::{AddressKind, DurationKind, IdKind, KeyKind, MomentKind, PortKind, Text};
use clap::ValueEnum;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};
use toml::Spanned;

/// A value and where it is, if it is there.
pub(super) type Given<T> = Option<Spanned<T>>;
/// A quoted address.
pub(super) type AddressText = Text<AddressKind>;
/// A quoted duration.
pub(super) type DurationText = Text<DurationKind>;
/// A quoted id.
pub(super) type IdText = Text<IdKind>;
/// A quoted key.
pub(super) type KeyText = Text<KeyKind>;
/// A quoted moment.
pub(super) type MomentText = Text<MomentKind>;
/// A quoted port.
pub(super) type PortText = Text<PortKind>;
/// Sections `[….NAME]` by name.
pub(super) type Named<T> = BTreeMap<Spanned<String>, Spanned<T>>;

#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "sections such as [gate]"
)]
pub(super) struct File {
    pub daemon: Given<Daemon>,
    pub gate: Given<Gate>,
    pub firewall: Given<Firewall>,
    pub operator: Given<Operator>,
    #[serde(default)]
    pub resources: Named<Resource>,
    #[serde(default)]
    pub users: Named<User>,
}

#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a section [daemon]"
)]
pub(super) struct Daemon {
    pub user: Given<String>,
    pub seccomp: Option<Seccomp>,
    pub log_format: Option<LogFormat>,
}

#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a section [gate]"
)]
pub(super) struct Gate {
    pub interfaces: Given<Vec<Spanned<String>>>,
    pub port: Given<i64>,
    pub transports: Given<Vec<Spanned<Transport>>>,
    pub addresses: Given<Vec<Spanned<AddressText>>>,
    pub xdp: Option<XdpMode>,
    pub error_policy: Option<ErrorPolicy>,
    pub control_timeout: Given<DurationText>,
    pub max_connections: Given<i64>,
    pub max_connections_per_source: Given<i64>,
    pub rate: Given<i64>,
    pub burst: Given<i64>,
    pub hmac_budget: Given<i64>,
    pub source_prefix_ipv4: Given<i64>,
    pub source_prefix_ipv6: Given<i64>,
    pub pending_challenges: Given<i64>,
    pub seen_salts: Given<i64>,
    pub challenge: Given<bool>,
    pub silent: Option<bool>,
    pub number: Given<i64>,
    pub pin_directory: Given<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a section [firewall]"
)]
pub(super) struct Firewall {
    pub mode: Option<FirewallMode>,
    pub closed: Given<Closed>,
    pub table: Given<String>,
    pub chain: Given<String>,
    pub forward_chain: Given<String>,
    pub output_chain: Given<String>,
    pub inside_interfaces: Given<Vec<Spanned<String>>>,
    pub default_lease: Given<DurationText>,
    pub max_lease: Given<DurationText>,
    pub max_leases: Given<i64>,
    pub max_opens_per_second: Given<i64>,
    pub shield: Given<Shield>,
}

#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a section [operator]"
)]
pub(super) struct Operator {
    pub socket: Given<PathBuf>,
    pub group: Given<String>,
    pub metrics: Given<String>,
    pub metrics_group: Given<String>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a section [resources.NAME]"
)]
pub(super) struct Resource {
    pub id: Given<IdText>,
    pub ports: Given<Vec<Spanned<PortText>>>,
    pub lease: Given<DurationText>,
    pub ipv6_prefix: Given<i64>,
    pub all_users: Option<bool>,
    pub forward: Given<bool>,
    pub cut: Given<bool>,
    pub jump_input: Given<String>,
    pub jump_forward: Given<String>,
    pub jump_output: Given<String>,
    pub jump_for_all: Given<Vec<Spanned<JumpHook>>>,
    pub shield: Given<Shield>,
    pub shield_udp: Given<bool>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a section [users.NAME]"
)]
pub(super) struct User {
    pub id: Given<IdText>,
    pub key: Given<KeyText>,
    pub key_file: Given<PathBuf>,
    pub resources: Given<Vec<Spanned<String>>>,
    pub other_addresses: Option<bool>,
    pub until: Given<MomentText>,
}

/// Where a jump may be.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum JumpHook {
    Input,
    Forward,
    Output,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// What happens to a process of ours that makes a system call which it should not need.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Seccomp {
    /// Nothing.
    Off,
    /// The kernel's log tells of it.
    Log,
    /// It is killed, and the other one ends.
    Kill,
}

impl Seccomp {
    /// As the configuration has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Log => "log",
            Self::Kill => "kill",
        }
    }
}

/// What the log looks like.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Lines for people on standard error.
    Text,
    /// An object in each line on standard error.
    Json,
    /// Entries of systemd's journal.
    Journald,
}

impl LogFormat {
    /// As the configuration has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Journald => "journald",
        }
    }
}

/// Which XDP hook checks the control packets.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum XdpMode {
    /// Native where the driver can, generic where it cannot.
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the network stack.
    Generic,
    /// No XDP: the daemon checks what its socket receives.
    Off,
}

/// Who gets an answer to a knock that is refused.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorPolicy {
    /// Everybody.
    Always,
    /// Who proved a key, perhaps by a replay.
    BasicAuth,
    /// Who proved a key by answering a challenge.
    FullAuth,
}

/// Where the firewall rules live.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FirewallMode {
    /// A table of our own.
    Guard,
    /// A chain in the administrator's table.
    Chain,
}

/// What a packet to a closed port gets.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Closed {
    /// Nothing.
    Drop,
    /// A TCP reset or ICMP unreachable.
    Reject,
}

/// What the XDP program does with a packet that begins a conversation, and whose source holds no lease.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shield {
    /// Drop it.
    Drop,
    /// Leave it to the firewall.
    Off,
}
