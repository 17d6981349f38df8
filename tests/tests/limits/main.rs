//! Limits: what one sender takes is not missing for another.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod budget;
mod connections;
mod flood;
mod leases;
mod users;
