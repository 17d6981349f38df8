//! The programs as they are measured.

use crate::{paths, sh};
use anyhow::Context as _;
use std::process::Command;

/// `letmeind`, as `cargo build` makes it.
pub fn server() -> anyhow::Result<()> {
    let build = ["build", "--release", "-p", "letmein-daemon"];
    sh::run(Command::new("cargo").current_dir(paths::workspace()).args(build))
}

/// `letmein` with the C library inside: it starts in two thirds of the time.
pub fn client() -> anyhow::Result<()> {
    let build = [
        "rustc",
        "--release",
        "-p",
        "letmein-client",
        "--bin",
        "letmein",
        "--",
    ];
    let inside = ["-C", "target-feature=+crt-static"];
    sh::run(
        Command::new("cargo")
            .current_dir(paths::workspace())
            .args(build)
            .args(inside),
    )
    .context("if the linker does not find -lc: it is in Debian's libc6-dev, in Fedora's glibc-static")
}
