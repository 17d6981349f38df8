//! The shield: without a lease nothing that begins a conversation with a protected port gets past the XDP program.
//! Needs root, and nmap.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod choices;
mod datagrams;
mod flood;
mod leases;
mod scan;
mod scene;
