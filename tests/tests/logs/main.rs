//! What the log looks like by `log-format`: of a whole run, from both processes. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod journald;
mod json;
mod run;
mod text;
