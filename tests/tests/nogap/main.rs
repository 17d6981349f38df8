//! At no moment is a protected port open to strangers or closed to guests: a daemon is killed, stopped, started, upgraded,
//! and somebody tries all along. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod allowed;
mod asleep;
mod ends;
mod failing;
mod faults;
mod kept;
mod pins;
mod probe;
mod reload;
mod scene;
mod trial;
