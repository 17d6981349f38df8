//! Who the two processes are and what they may, by `/proc`.

use crate::scene::{Scene, status};
use letmein_tests::letmeind::NOBODY;
use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt as _};

/// By their numbers in `linux/capability.h`: `KILL`, `NET_BIND_SERVICE`, `NET_ADMIN`, `PERFMON`, `BPF`.
const WARDENS: [u32; 5] = [5, 10, 12, 38, 39];

#[test]
fn the_gatekeeper_is_nobody_and_may_nothing() {
    let scene = Scene::new();
    let gatekeeper = scene.gatekeeper();
    let same = [NOBODY; 4].map(|number| number.to_string()).join(" ");
    for field in ["Uid", "Gid"] {
        assert_eq!(status(gatekeeper, field), same, "{field}");
    }
    assert_eq!(status(gatekeeper, "Groups"), "");
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(gatekeeper, field), "0000000000000000", "{field}");
    }
    assert_eq!(status(gatekeeper, "NoNewPrivs"), "1");
    assert_eq!(status(gatekeeper, "Seccomp"), "2");
    assert_eq!(status(gatekeeper, "Threads"), "1");
    // What is root's belongs to a process that nobody may look into or take a core of.
    assert_eq!(fs::metadata(format!("/proc/{gatekeeper}/maps")).unwrap().uid(), 0);
    assert_eq!(fs::read(format!("/proc/{gatekeeper}/environ")).unwrap(), b"");
}

#[test]
fn the_warden_keeps_what_it_needs() {
    let scene = Scene::new();
    let warden = scene.warden();
    let kept = WARDENS.iter().fold(0_u64, |kept, number| kept | 1 << number);
    for field in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status(warden, field), format!("{kept:016x}"), "{field}");
    }
    for field in ["CapInh", "CapAmb"] {
        assert_eq!(status(warden, field), "0000000000000000", "{field}");
    }
    assert_eq!(status(warden, "NoNewPrivs"), "1");
    assert_eq!(status(warden, "Seccomp"), "2");
    assert_eq!(status(warden, "Threads"), "1");
}

/// The connection to the warden, the control port's sockets, the ring buffer, the log, and what waits for them; no file.
#[test]
fn the_gatekeeper_holds_nothing_but_what_it_was_handed() {
    let scene = Scene::new();
    assert_eq!(scene.knock(), 0);
    let folder = format!("/proc/{}/fd", scene.gatekeeper());
    let held: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let target = fs::read_link(entry.unwrap().path()).unwrap();
            let target = target.to_string_lossy().into_owned();
            target
                .split_once(":[")
                .map_or(target.clone(), |(kind, _)| kind.to_owned())
        })
        .collect();
    let kinds: BTreeSet<_> = held.iter().map(String::as_str).collect();
    let expected = [
        "/dev/null",
        "anon_inode:[eventfd]",
        "anon_inode:[eventpoll]",
        "anon_inode:bpf-map",
        "pipe",
        "socket",
    ];
    let known = |kind: &&str| expected.contains(kind) || kind.starts_with("anon_inode");
    assert!(kinds.iter().all(known), "{held:?}");
    assert!(kinds.contains("anon_inode:bpf-map"), "{held:?}");
    // UDP and TCP for both families; the warden, twice: as standard input, and as what is waited for; three ends of a pair
    // by which tokio wakes itself up; and one that asks the kernel whose an address is.
    let sockets = held.iter().filter(|kind| *kind == "socket");
    assert_eq!(sockets.count(), 10, "{held:?}");
    // Standard error is the log, and there is one map: no table of keys is among them.
    for kind in ["pipe", "anon_inode:bpf-map", "/dev/null"] {
        assert_eq!(held.iter().filter(|held| *held == kind).count(), 1, "{held:?}");
    }
}
