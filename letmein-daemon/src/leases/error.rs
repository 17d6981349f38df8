//! Why a genuine knock opens nothing.

use crate::{firewall::FirewallError, xdp::XdpError};
use jiff::Timestamp;
use thiserror::Error;

/// Why a genuine knock opens nothing.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// `firewall.max-leases` is reached.
    #[error("{limit} leases live already, which is firewall.max-leases")]
    TooMany {
        /// The limit.
        limit: u32,
    },
    /// The user holds so many that the rest of `firewall.max-leases` is left to others.
    #[error(
        "{user} holds {held} of the {limit} leases that firewall.max-leases allows; the rest is reserved for other users"
    )]
    Share {
        /// The user's name.
        user: String,
        /// How many that are.
        held: u32,
        /// The limit.
        limit: u32,
    },
    /// `until` of the user's section is over.
    #[error("the user's time is over since {until}; see `until` in the user's section")]
    Over {
        /// In UTC.
        until: Timestamp,
    },
    /// The lease sets are full of leases that have run out.
    #[error("more leases have run out than the kernel has collected so far; try again in two seconds")]
    Collecting,
    /// The kernel did not do it.
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    /// The XDP program cannot be told, and would go on dropping the guest's packets.
    #[error("the shield does not learn of it, so it is closed again")]
    Shield(#[source] XdpError),
}

impl LeaseError {
    /// The same without figures.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => "there are too many leases",
            Self::Share { .. } => "the user holds too many leases",
            Self::Over { .. } => "the user's time is over",
            Self::Firewall(_) => "the firewall cannot be changed",
            Self::Shield(_) => "the shield cannot be told",
            Self::Collecting => "the kernel is still collecting what has run out",
        }
    }
}
