//! Silent knocks: one datagram opens, nobody answers, and no datagram opens twice.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod address;
mod clock;
mod forged;
mod invisible;
mod lease;
mod martians;
mod quota;
mod replay;
mod scene;
mod waiting;
