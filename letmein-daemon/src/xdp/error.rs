//! What can go wrong with XDP, and what to do about it.
//!
//! A text does not repeat its source, which whoever shows the error adds (`{:#}`).

use super::framing::Unfit;
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
    /// A map is larger than the memory that the kernel gives this process.
    #[error(
        "the kernel has no memory for BPF map {map}; set lower seen-salts and pending-challenges in section [gate] or \
         max-leases in section [firewall], or give letmeind more (`MemoryMax=` of its unit)"
    )]
    Memory {
        /// The map's name.
        map: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
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
    /// The ring buffer cannot be handed on.
    #[error("the ring buffer of silent knocks cannot be handed on")]
    Ring(#[source] std::io::Error),
    /// The folder for what outlives the process cannot be used.
    #[error(
        "nothing can be kept in {}; is a BPF file system mounted there (`mount -t bpf bpf /sys/fs/bpf`), and is \
         pin-directory in section [gate] a folder in it, of root's?",
        folder.display()
    )]
    Pin {
        /// The folder.
        folder: std::path::PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Interfaces cannot be asked for.
    #[error("cannot ask the kernel for network interfaces")]
    Interfaces(#[source] std::io::Error),
    /// No such interface.
    #[error("there is no network interface {interface:?}; `ip link` lists them, gate.interfaces names them")]
    NoInterface {
        /// The name in the configuration.
        interface: String,
    },
    /// The program could not work there.
    #[error("the XDP program cannot work on {interface:?}")]
    Unfit {
        /// The interface.
        interface: String,
        /// Why, and what to do.
        source: Unfit,
    },
    /// The kernel attaches nothing below an interface that has a program.
    #[error(
        "{interface:?} cannot have the XDP program while another one is attached to {above:?}, which is above it;          `bpftool net show dev {above}` tells whose, and `ip link set dev {above} xdp off` (or `xdpgeneric off`) removes one          that nobody needs"
    )]
    BusyAbove {
        /// The interface.
        interface: String,
        /// The one above it.
        above: String,
    },
    /// Another XDP program is attached.
    #[error(
        "another XDP program is attached to {interface:?}; `bpftool net show dev {interface}` tells whose, and \
         `ip link set dev {interface} xdp off` (or `xdpgeneric off`) removes one that nobody needs; one that a letmeind \
         with another pin-directory has left there, its `letmeind down` removes"
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
