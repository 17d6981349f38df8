//! Who we are, and the kernel's release and features.

use super::{Finding, is_root, major_minor, read};
use crate::sh;
use std::{path::Path, process::Command};

/// The program takes frames that do not fit one page (`xdp.frags`), which this release brought.
const FRAGS: (u32, u32) = (5, 18);
/// Where the BPF file system belongs.
const BPFFS: &str = "/sys/fs/bpf";
/// The oldest release that the program was tried on.
const TESTED: (u32, u32) = (6, 1);

/// The running kernel's release, such as `6.1.0-18-amd64`.
pub(super) fn release() -> Option<String> {
    read("/proc/sys/kernel/osrelease")
}

/// Its version.
pub(super) fn version(release: &str) -> Option<(u32, u32)> {
    major_minor(release)
}

pub(super) fn check(release: Option<&str>) -> Vec<Finding> {
    vec![root(), judge(release), btf(), jit(), namespaces(), bpffs()]
}

/// Where letmeind remembers silent knocks over a restart.
fn bpffs() -> Finding {
    let what = "BPF file system";
    let mounted = read("/proc/self/mounts").is_some_and(|mounts| is_mounted(&mounts));
    if mounted {
        Finding::ok(what, BPFFS)
    } else {
        Finding::warn(
            what,
            format!(
                "none at {BPFFS}, which silent knocks need: mount -t bpf bpf {BPFFS} (systemd does so by itself)"
            ),
        )
    }
}

/// Whether a line of `/proc/self/mounts` is the one.
fn is_mounted(mounts: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == Some(BPFFS) && fields.next() == Some("bpf")
    })
}

fn root() -> Finding {
    if is_root() {
        Finding::ok("root", "this is root")
    } else {
        Finding::warn(
            "root",
            "not root, so not everything can be checked; letmeind, its tests and the demonstration need root: sudo",
        )
    }
}

fn judge(release: Option<&str>) -> Finding {
    let Some((release, version)) = release.and_then(|release| Some((release, version(release)?))) else {
        return Finding::fail(
            "kernel",
            "this is no Linux; letmeind needs it, the client does not",
        );
    };
    if version < FRAGS {
        Finding::warn(
            "kernel",
            format!(
                "{release}: the XDP program needs 5.18 or newer; set xdp = \"off\" in section [gate], or upgrade"
            ),
        )
    } else if version < TESTED {
        Finding::ok("kernel", format!("{release}; tested are 6.1, 6.12 and 6.18"))
    } else {
        Finding::ok("kernel", release)
    }
}

fn btf() -> Finding {
    let file = "/sys/kernel/btf/vmlinux";
    if Path::new(file).exists() {
        Finding::ok("kernel BTF", file)
    } else {
        Finding::warn(
            "kernel BTF",
            format!("no {file}; for debugging BPF programs, take a kernel with CONFIG_DEBUG_INFO_BTF"),
        )
    }
}

fn jit() -> Finding {
    jit_is(read("/proc/sys/net/core/bpf_jit_enable").as_deref())
}

fn jit_is(setting: Option<&str>) -> Finding {
    match setting {
        Some("1") => Finding::ok("BPF JIT", "on"),
        Some("2") => Finding::warn(
            "BPF JIT",
            "on, and logging every program: sysctl net.core.bpf_jit_enable=1",
        ),
        Some(_) => Finding::warn(
            "BPF JIT",
            "off, which makes the XDP program many times slower: sysctl net.core.bpf_jit_enable=1",
        ),
        None => Finding::warn(
            "BPF JIT",
            "this kernel has none, which makes the XDP program many times slower: take one with CONFIG_BPF_JIT",
        ),
    }
}

/// Only for tests and the demonstration.
fn namespaces() -> Finding {
    let what = "network namespaces";
    if !sh::succeeds(Command::new("ip").arg("-V")) {
        return Finding::warn(
            what,
            "no `ip` for tests and demonstration: apt-get install iproute2",
        );
    }
    if !is_root() {
        return Finding::warn(what, "not tried; run as root");
    }
    // A namespace that is gone with the process.
    if sh::succeeds(Command::new("unshare").args(["--net", "true"])) {
        Finding::ok(what, "usable")
    } else {
        Finding::warn(
            what,
            "cannot be made, so no tests and no demonstration: not in this container, or CONFIG_NET_NS is missing",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::Level::{Fail, Ok, Warn},
        is_mounted, jit_is, judge,
    };

    #[test]
    fn a_bpf_file_system_is_found_among_the_mounts() {
        let line = |folder, kind| format!("proc /proc proc rw 0 0\n{kind} {folder} {kind} rw,nosuid 0 0\n");
        assert!(is_mounted(&line("/sys/fs/bpf", "bpf")));
        assert!(!is_mounted(&line("/sys/fs/bpf", "tmpfs")));
        assert!(!is_mounted(&line("/tmp/bpf", "bpf")));
    }

    #[test]
    fn releases_are_judged() {
        for (release, level) in [
            (Some("6.18.44-fc-v782"), Ok),
            (Some("6.1.0-18-amd64"), Ok),
            (Some("5.18.0"), Ok),
            (Some("5.15.0-91-generic"), Warn),
            (Some("4.19.0"), Warn),
            (Some("unknown"), Fail),
            (None, Fail),
        ] {
            assert_eq!(judge(release).level, level, "{release:?}");
        }
    }

    #[test]
    fn only_a_quiet_jit_is_right() {
        assert_eq!(jit_is(Some("1")).level, Ok);
        for setting in [Some("0"), Some("2"), None] {
            assert_eq!(jit_is(setting).level, Warn, "{setting:?}");
        }
    }
}
