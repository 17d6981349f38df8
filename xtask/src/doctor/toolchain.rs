//! What building takes.

use super::{Finding, major_minor};
use crate::{build_ebpf, paths, sh};
use nix::sys::statvfs::statvfs;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The Rust release that the workspace is written for.
const RUST: &str = env!("CARGO_PKG_RUST_VERSION");
const GIB: u64 = 1 << 30;
/// A build of everything, with its tests.
const COMFORTABLE: u64 = 8 * GIB;
/// The daemon and the client alone.
const LEAST: u64 = 2 * GIB;

pub(super) fn check() -> Vec<Finding> {
    vec![
        rust(sh::output(sh::without_cargo_environment(
            Command::new("rustc").arg("--version"),
        ))),
        ebpf(),
        linker(),
        cargo_deny(),
        disk(),
    ]
}

fn rust(version: Option<String>) -> Finding {
    let what = "Rust";
    let Some(version) = version else {
        return Finding::fail(
            what,
            format!("no rustc; {RUST} or newer is needed: https://rustup.rs"),
        );
    };
    let version = version.trim();
    let number = version.strip_prefix("rustc ").and_then(major_minor);
    if number.is_some() && number >= major_minor(RUST) {
        Finding::ok(what, version)
    } else {
        Finding::fail(
            what,
            format!("{version}; {RUST} or newer is needed: rustup update stable"),
        )
    }
}

fn ebpf() -> Finding {
    let what = "Rust for eBPF";
    if build_ebpf::debian_core() {
        Finding::ok(what, "Debian's rustc-web, with core for the kernel's target")
    } else if build_ebpf::nightly_source() {
        Finding::ok(what, "rustup's nightly, with rust-src")
    } else if debian() {
        Finding::warn(what, "missing; cargo xtask build-ebpf installs it")
    } else {
        Finding::warn(
            what,
            "missing, so the XDP program cannot be built: rustup toolchain install nightly --component rust-src",
        )
    }
}

fn linker() -> Finding {
    let what = "bpf-linker";
    match build_ebpf::linker() {
        Some(version) => Finding::ok(what, version.trim()),
        None if debian() => Finding::warn(what, "missing; cargo xtask build-ebpf installs it"),
        None => Finding::warn(
            what,
            "missing, so the XDP program cannot be built: cargo install bpf-linker",
        ),
    }
}

fn debian() -> bool {
    Path::new("/etc/debian_version").exists()
}

fn cargo_deny() -> Finding {
    let what = "cargo-deny";
    match sh::output(sh::without_cargo_environment(
        Command::new("cargo-deny").arg("--version"),
    )) {
        Some(version) => Finding::ok(what, version.trim()),
        None => Finding::warn(
            what,
            "missing; only .ci/run needs it: cargo install cargo-deny --locked",
        ),
    }
}

fn disk() -> Finding {
    let target = paths::target();
    let folder = existing(&target);
    let free = statvfs(&folder).map(|disk| disk.blocks_available() * disk.fragment_size());
    match free {
        Ok(free) => space(free, &folder),
        Err(error) => Finding::warn(
            "disk space",
            format!("cannot tell for {}: {error}", folder.display()),
        ),
    }
}

fn space(free: u64, folder: &Path) -> Finding {
    let what = "disk space";
    let found = format!("{} GiB free in {}", free / GIB, folder.display());
    if free < LEAST {
        Finding::fail(
            what,
            format!("{found}; a build takes {} GiB: make room", LEAST / GIB),
        )
    } else if free < COMFORTABLE {
        Finding::warn(
            what,
            format!(
                "{found}; a build with all tests takes up to {} GiB: make room",
                COMFORTABLE / GIB
            ),
        )
    } else {
        Finding::ok(what, found)
    }
}

/// The folder itself or, before the first build, the nearest above it.
fn existing(folder: &Path) -> PathBuf {
    folder
        .ancestors()
        .find(|folder| folder.exists())
        .unwrap_or(folder)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::{
        super::Level::{Fail, Ok, Warn},
        GIB, existing, rust, space,
    };
    use std::path::Path;

    #[test]
    fn rust_versions_are_judged() {
        for (version, level) in [
            (Some("rustc 1.95.0 (59807616e 2026-04-14)\n"), Ok),
            (Some("rustc 2.0.0"), Ok),
            (Some("rustc 1.94.1 (0123456 2026-03-01)"), Fail),
            (Some("something else"), Fail),
            (None, Fail),
        ] {
            assert_eq!(rust(version.map(str::to_owned)).level, level, "{version:?}");
        }
    }

    #[test]
    fn disk_space_is_judged() {
        for (free, level) in [(100, Ok), (8, Ok), (7, Warn), (2, Warn), (1, Fail), (0, Fail)] {
            assert_eq!(space(free * GIB, Path::new("/")).level, level, "{free} GiB");
        }
    }

    #[test]
    fn the_nearest_folder_is_found() {
        assert_eq!(existing(Path::new("/proc/no/such/folder")), Path::new("/proc"));
        assert_eq!(existing(Path::new("/proc")), Path::new("/proc"));
    }
}
