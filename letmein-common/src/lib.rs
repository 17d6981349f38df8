//! What kernel, daemon and client share: the knock formats, how they are verified, and what lives in BPF maps.
//!
//! Everything here is `no_std`, allocates nothing and cannot panic on any input, because the same code runs
//! inside the XDP program. The path of a knock through this crate:
//!
//! [`wire`] (bytes to message) → [`gate`] (is it genuine?) → [`hmac`] → [`keccak`], with [`filter`] in front of the
//! keys, [`bucket`] in front of the expensive step, [`account`] so that no user takes from another, and [`reason`] naming whatever was refused. What is not for the
//! control port concerns [`shield`] alone.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod account;
pub mod bucket;
pub mod filter;
pub mod gate;
pub mod hmac;
pub mod ids;
pub mod keccak;
pub mod maps;
pub mod reason;
pub mod sample;
pub mod shield;
pub mod siphash;
pub mod source;
pub mod wire;

pub use ids::{ResourceId, UserId};

/// The UDP and TCP port that a gate listens on unless configured otherwise.
pub const DEFAULT_CONTROL_PORT: u16 = 5800;
