//! What others take away from the firewall is put back, while the daemon runs: rules, sets, and leases with the time that
//! they had left.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod chain;
mod guard;
mod quiet;
mod revoked;
mod scene;
