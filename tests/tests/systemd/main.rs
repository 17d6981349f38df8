//! The units of `dist/systemd/`, as systemd runs them: a machine boots, in namespaces of its own.
//! Needs root, and Debian's package systemd; no systemd has to run.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod boot;
mod documents;
mod journal;
mod sandbox;
mod scene;
mod socket;
