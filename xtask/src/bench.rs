//! Measuring. Every figure is compared with another of the same run: absolute times say little on a shared machine.

use crate::{build_ebpf, install, install::Package, paths, peers, release, sh};
use clap::{Args, Subcommand};
use std::process::Command;

const PACKAGES: &[Package] = &[
    Package {
        name: "iproute2",
        purpose: "`ip netns`: the measurements make their own hosts",
    },
    Package {
        name: "nftables",
        purpose: "`nft`: the firewall that the servers program",
    },
];

#[derive(Args)]
pub struct Options {
    /// What to measure.
    #[command(subcommand)]
    what: What,
    /// Install what is missing without asking.
    #[arg(long, global = true)]
    yes: bool,
    /// Print the medians as one JSON object.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Clone, Copy, Subcommand)]
enum What {
    /// Nanoseconds in the XDP program, by kind of packet.
    Packet,
    /// Milliseconds to fill and renew the table of silent knocks' tags for 10,000 users.
    Tags,
    /// Milliseconds from starting the client to the first accepted connection, with letmein 12 in turn.
    Open,
    /// What a lease costs while nobody else has one, and while a million are open.
    Leases,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    sh::require_root("the measurements load an XDP program and make network namespaces")?;
    build_ebpf::run(&build_ebpf::Options {
        yes: options.yes,
        debug_log: false,
    })?;
    let bench = match options.what {
        What::Packet => "packet",
        What::Tags => "tags",
        What::Open => {
            install::packages(PACKAGES, options.yes)?;
            peers::install(options.yes)?;
            build_release()?;
            "open"
        }
        What::Leases => {
            install::packages(PACKAGES, options.yes)?;
            build_release()?;
            "leases"
        }
    };
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(paths::workspace())
        .args(["bench", "--package", "letmein-tests", "--bench", bench]);
    if options.json {
        cargo.args(["--quiet", "--", "--json"]);
    }
    sh::run(&mut cargo)
}

/// The programs that are measured, beside the benchmarks.
fn build_release() -> anyhow::Result<()> {
    release::for_measuring(release::SERVER)?;
    release::for_measuring(release::CLIENT)
}
