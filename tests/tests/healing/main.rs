//! What others take away is put back, while the daemon runs: rules, sets, leases with the time that they had left, and
//! the XDP program.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod chain;
mod detach;
mod guard;
mod interfaces;
mod many;
mod quiet;
mod revoked;
mod scene;
