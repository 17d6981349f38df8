//! The XDP program on real interfaces, frame by frame: what it drops and why, what it answers, and what it leaves
//! alone. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod answer;
mod bucket;
mod craft;
mod exchange;
mod extensions;
mod fragments;
mod jumbo;
mod lengths;
mod modes;
mod network;
mod options;
mod shield;
mod site;
mod truncated;
mod untouched;
mod verdict;
mod vlan;
