//! Interfaces of all kinds: without an Ethernet header, stacked on each other, without the XDP program.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod bare;
mod elsewhere;
mod scene;
mod stacked;
