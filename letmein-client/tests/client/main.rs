//! The client as built, against a small gate on loopback that loses, repeats, forges and stalls.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod client;
mod forged;
mod gate;
mod lost;
mod proxy;
mod several;
mod ssh;
mod status;
mod tcp;
mod usage;
