//! What can go wrong with XDP, and what to do about it.
//!
//! A text does not repeat its source, which whoever shows the error adds (`{:#}`).

use aya::{EbpfError, maps::MapError, programs::ProgramError};
use thiserror::Error;

/// Why the XDP program does not run.
#[derive(Debug, Error)]
pub enum XdpError {
    /// The binary was built by plain `cargo build`.
    #[error(
        "this letmeind was built without its XDP program; run `cargo xtask build-ebpf` and build it again, or \
         set xdp = \"off\" in section [gate] to check knocks in userspace"
    )]
    NotBuiltIn,
    /// A capability is missing.
    #[error(
        "the kernel does not let this process use BPF; run letmeind as root, or with CAP_NET_ADMIN, CAP_BPF and \
         CAP_PERFMON"
    )]
    Permission,
    /// The kernel refused the object or a map.
    #[error(
        "the kernel does not load the XDP program; `cargo xtask doctor` tells what it lacks, and xdp = \"off\" in \
         section [gate] does without"
    )]
    Load(#[source] EbpfError),
    /// The kernel is older than what the program needs.
    #[error(
        "the XDP program needs Linux 5.18 or newer, and this is {0}; upgrade, or set xdp = \"off\" in section [gate] to \
         check knocks in userspace"
    )]
    OldKernel(String),
    /// The object lacks a map or the program.
    #[error("the XDP object has no {0}; it does not belong to this letmeind")]
    Missing(&'static str),
    /// The verifier refused the program.
    #[error(
        "the kernel's verifier does not accept the XDP program; xdp = \"off\" in section [gate] does without"
    )]
    Verifier(#[source] ProgramError),
    /// A map could not be written or read.
    #[error("BPF map {map} cannot be used")]
    Map {
        /// The map's name.
        map: &'static str,
        /// The kernel's answer.
        source: MapError,
    },
    /// The messages of a build for debugging cannot be read.
    #[error("the messages of the XDP program cannot be read: {0}")]
    Log(#[source] aya_log::Error),
    /// The ring buffer cannot be waited for.
    #[error("cannot wait for silent knocks")]
    Ring(#[source] std::io::Error),
    /// The pinned map cannot be used.
    #[error(
        "cannot pin the nonces of silent knocks in {}; is a BPF file system mounted there (`mount -t bpf bpf \
         /sys/fs/bpf`), and is pin-directory in section [gate] a folder in it?",
        folder.display()
    )]
    Pin {
        /// The folder.
        folder: std::path::PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// No such interface.
    #[error("there is no network interface {interface:?}; `ip link` lists them, gate.interfaces names them")]
    NoInterface {
        /// The name in the configuration.
        interface: String,
    },
    /// Another XDP program is attached.
    #[error(
        "another XDP program is attached to {interface:?}; `bpftool net show dev {interface}` tells whose, and \
         `ip link set dev {interface} xdp off` (or `xdpgeneric off`) removes one that nobody needs"
    )]
    Busy {
        /// The interface.
        interface: String,
    },
    /// The driver has no XDP, or not for these settings.
    #[error(
        "the driver of {interface:?} does not take XDP programs; set xdp = \"generic\" in section \
         [gate], or lower the MTU, switch LRO off and use fewer channels (`ethtool -k`, `ethtool -L`)"
    )]
    NotSupported {
        /// The interface.
        interface: String,
        /// The driver's answer.
        source: ProgramError,
    },
    /// Anything else about attaching.
    #[error("cannot attach the XDP program to {interface:?}")]
    Attach {
        /// The interface.
        interface: String,
        /// The kernel's answer.
        source: ProgramError,
    },
}
