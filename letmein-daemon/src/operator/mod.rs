//! The operator's socket: what is open, what is refused, and closing and opening by hand.
//!
//! A Unix socket that root and one group may use (`socket`), with one line of JSON for a request and at least one for
//! an answer ([`protocol`], [`serve`], [`client`]). Each command has a file with both of its ends.

pub mod client;
mod desk;
mod format;
mod history;
pub mod leases;
mod metrics;
pub mod open;
mod peer;
pub mod protocol;
pub mod reload;
pub mod revoke;
mod scrape;
mod serve;
mod socket;
mod sources;
pub mod status;
pub mod top;

pub use desk::{Desk, Probe};
pub use scrape::{Listener as MetricsListener, listen as listen_for_metrics, serve as serve_metrics};
pub use serve::serve;
pub use socket::{Listener, bind};

/// Where the socket is, unless the configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/letmein/letmeind.sock";
