//! The two processes of letmeind, as the kernel sees them, and that neither outlives the other. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod ends;
mod scene;
mod status;
