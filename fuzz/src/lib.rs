//! Fuzz targets: code that reads what others wrote, with bytes that nobody would write.
//!
//! A target is a function of any bytes that panics where something is wrong. `cargo xtask fuzz` lets libFuzzer search for
//! such bytes, by the code that each input reaches; `tests/` runs all targets on their corpora and on random bytes. A
//! corpus is a folder of files in `corpus/`.

#![expect(
    clippy::missing_panics_doc,
    reason = "a target panics where something is wrong: that is how it says so"
)]

pub mod config;
mod coverage;
pub mod enrolment;
pub mod frames;
mod input;
pub mod messages;
pub mod netlink;
pub mod packets;
pub mod requests;
pub mod stream;

/// A target by its name.
pub struct Target {
    /// Also that of its corpus.
    pub name: &'static str,
    /// No input is longer.
    pub longest: usize,
    /// Panics where something is wrong.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "challenge",
        longest: 64,
        run: messages::challenge,
    },
    Target {
        name: "silent",
        longest: 128,
        run: messages::silent,
    },
    Target {
        name: "config",
        longest: 4096,
        run: config::server,
    },
    Target {
        name: "client",
        longest: 2048,
        run: config::client,
    },
    Target {
        name: "enrolment",
        longest: 2064,
        run: enrolment::line,
    },
    Target {
        name: "stream",
        longest: 256,
        run: stream::stream,
    },
    Target {
        name: "requests",
        longest: 256,
        run: requests::requests,
    },
    Target {
        name: "netlink",
        longest: 1024,
        run: netlink::netlink,
    },
    Target {
        name: "packets",
        longest: 512,
        run: packets::packets,
    },
    Target {
        name: "frames",
        longest: 256,
        run: frames::frames,
    },
];
