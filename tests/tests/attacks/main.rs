//! Attacks: what somebody without a key, or with a recorded knock, can send, hold and exhaust, and what comes of it.
//! `SECURITY.md` names the promise that each of them is about. Needs root.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod amplification;
mod bpf;
mod clock;
mod comparison;
mod disk;
mod forged;
mod frames;
mod guesses;
mod memory;
mod million;
mod own_address;
mod relay;
mod replayed;
mod ring;
mod scene;
mod spoofed;
mod tcp;
