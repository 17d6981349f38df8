//! Behind one address there may be many users: each has a grant of what they opened, and nobody touches another's.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod kept;
mod kinds;
mod scene;
mod share;
mod shared;
