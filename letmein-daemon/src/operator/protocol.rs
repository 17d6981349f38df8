//! Requests and answers on the operator's socket: a line of JSON each.

use serde::{Deserialize, Serialize};
use std::{net::IpAddr, path::PathBuf};

/// The longest request, with its line break.
pub const LONGEST_REQUEST: usize = 1024;
/// The longest line of an answer: a page of leases with the longest names.
pub const LONGEST_ANSWER: usize = 1 << 20;
/// The most leases in one line of an answer.
pub const PAGE: usize = 256;
/// The number of this form of output. It changes when a program that reads it would have to.
pub const FORMAT: u32 = 1;

/// What an operator can ask.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the gate is.
    Status {},
    /// What `letmeind top` shows.
    Top {},
    /// All leases, in pages.
    Leases {},
    /// Closes leases.
    Revoke {
        /// An address, a user's name, or `all`.
        whose: String,
    },
    /// Opens a resource without a knock.
    Open {
        /// Its name or id.
        resource: String,
        /// For whom.
        address: IpAddr,
        /// For how long, instead of the resource's own time.
        seconds: Option<u64>,
    },
    /// Has the configuration read again.
    Reload {},
}

/// What is answered.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// How the gate is.
    Status(Status),
    /// What `letmeind top` shows.
    Top(Box<Top>),
    /// Some leases, and whether more lines follow.
    Leases {
        /// In the order in which they end: one for each user or operator who has opened the same.
        leases: Vec<Lease>,
        /// Whether there are more.
        more: bool,
    },
    /// Leases are closed.
    Revoked(Revoked),
    /// A resource is open.
    Opened {
        /// What was opened, as `tcp/22`.
        ports: String,
        /// For how long.
        seconds: u64,
    },
    /// The configuration was read again, and counts.
    Reloaded(Reloaded),
    /// The request was not carried out.
    Refused {
        /// Why.
        error: String,
    },
}

/// How the gate is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`FORMAT`].
    pub format: u32,
    /// The program's version.
    pub version: String,
    /// Since when it serves.
    pub uptime_seconds: u64,
    /// The control port.
    pub port: u16,
    /// What knocks are checked by: `xdp`, or `userspace` with `xdp = "off"`.
    pub checked_by: String,
    /// Where the XDP program is attached.
    pub interfaces: Vec<Interface>,
    /// With silent knocks: interfaces where they are not heard, as no XDP program is attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<String>,
    /// Open leases.
    pub leases: Leases,
    /// Packets that proved a key.
    pub genuine: Count,
    /// Packets that did not, all together.
    pub refused: Count,
    /// The same by reason, in the order of `docs/counters.md`.
    pub reasons: Vec<Refusal>,
}

/// What a screen can show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Top {
    /// How the gate is.
    pub status: Status,
    /// Who is refused most.
    pub sources: Vec<Source>,
    /// What happened lately, the latest first.
    pub events: Vec<Event>,
    /// The leases that end next.
    pub leases: Vec<Lease>,
}

/// Who is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The address, which may be forged.
    pub address: IpAddr,
    /// About this many packets.
    pub count: Count,
    /// Why the latest one was refused.
    pub reason: String,
    /// Where that was for.
    pub port: u16,
}

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// How long ago.
    pub seconds_ago: u64,
    /// A user's name, or `operator (uid 0)`.
    pub who: String,
    /// `opened`, `closed`, `revoked`.
    pub what: String,
    /// The resource.
    pub resource: String,
    /// For whom.
    pub address: String,
}

/// A configured interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// `native`, `generic`, or none: the XDP program is not there.
    pub hook: Option<String>,
    /// Another configured interface that the XDP program judges this one's packets on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered_by: Option<String>,
}

/// How many leases live: each user's and operator's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leases {
    /// Now.
    pub now: usize,
    /// `firewall.max-leases`.
    pub limit: u32,
}

/// A counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// Since the start.
    pub total: u64,
    /// In the last seconds.
    pub per_second: f64,
}

/// A counter of refused packets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its name in `docs/counters.md`.
    pub reason: String,
    /// How many.
    #[serde(flatten)]
    pub count: Count,
}

/// What one user or operator has opened. It is open as long as any of them says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The holder's address or network; none if it is for everybody.
    pub address: Option<String>,
    /// The resource.
    pub resource: String,
    /// What it opens, as `tcp/22`.
    pub opens: String,
    /// Who knocked for it.
    pub user: Option<String>,
    /// Which user of this machine opened it by hand.
    pub operator: Option<u32>,
    /// How long it still lives.
    pub seconds_left: u64,
}

/// What a revocation did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Leases that ended.
    pub leases: usize,
    /// Whose they were: those who had most.
    #[serde(default)]
    pub of: Vec<Of>,
    /// Connections that ended with them.
    pub connections: usize,
    /// Leases of which nobody knows who knocked for them, and which were left alone therefore.
    pub of_unknown_users: usize,
    /// What stays open all the same, by leases of others.
    #[serde(default)]
    pub kept_open: usize,
}

/// How many leases somebody had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Of {
    /// A user's name, `operator (uid 0)` or `unknown`.
    pub who: String,
    /// How many.
    pub leases: usize,
}

/// What a reload has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The file that was read.
    pub file: PathBuf,
    /// How many users there are now.
    pub users: usize,
    /// How many resources.
    pub resources: usize,
    /// What is not wrong, but better known.
    pub warnings: Vec<String>,
}
