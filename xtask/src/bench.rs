//! Measuring. Every figure is compared with another of the same run: absolute times say little on a shared machine.

mod fairness;
mod paper;
mod plot;
mod report;
mod tables;

use crate::{build_ebpf, install, install::Package, neighbours, paths, peers, release, sh};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use std::{
    mem,
    process::{Command, Stdio},
};

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

/// What other gates take besides.
const PACKAGES_OF_GATES: &[Package] = &[
    Package {
        name: "iptables",
        purpose: "`iptables-nft`: the firewall that fwknop programs",
    },
    Package {
        name: "libpcap0.8",
        purpose: "the library by which fwknop and knockd see packets",
    },
];

#[derive(Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
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
    /// A smoke run of debug builds, which shows that it works and nothing else. `docs` leaves the documents alone.
    #[arg(long, global = true)]
    quick: bool,
    /// Write the figures into docs/benchmarks.md, and leave the others there as they are.
    #[arg(long, global = true, conflicts_with = "quick")]
    keep: bool,
}

#[derive(Clone, Copy, Subcommand)]
enum What {
    /// Nanoseconds in the XDP program, by kind of packet.
    Packet,
    /// The same on one CPU and on all at once: whether they get in each other's way.
    Cpus,
    /// Milliseconds to fill and renew the table of silent knocks' tags for 10,000 users.
    Tags,
    /// Milliseconds from starting the client to the first accepted connection, on each of these gates in turn.
    Open,
    /// What a lease costs while nobody else has one, and while a million are open.
    Leases,
    /// What share of knocks gets in while forged packets arrive, and what these cost; with letmein 12, fwknop and knockd.
    Flood,
    /// What memory each of these gates takes.
    Memory,
    /// What share of knocks gets in while somebody forges a guest's address, is greedy, or comes as a crowd.
    Fairness,
    /// All of these, and then the tables and plots of docs/benchmarks.md.
    Docs,
    /// These tables and plots only, from what was measured last.
    Report,
}

/// What the documents have.
const ALL: &[(&str, What)] = &[
    ("packet", What::Packet),
    ("cpus", What::Cpus),
    ("tags", What::Tags),
    ("open", What::Open),
    ("leases", What::Leases),
    ("memory", What::Memory),
    ("flood", What::Flood),
    ("fairness", What::Fairness),
];

pub fn run(options: &Options) -> anyhow::Result<()> {
    if matches!(options.what, What::Report) {
        return report::Report::kept()?.write();
    }
    sh::require_root("the measurements load an XDP program and make network namespaces")?;
    build_ebpf::run(&build_ebpf::Options {
        yes: options.yes,
        debug_log: false,
    })?;
    if !matches!(options.what, What::Docs) {
        prepare(options.what, options)?;
        if !options.keep {
            return sh::run(&mut command(options.what, options.json, options.quick));
        }
        let name = name(options.what).context("--keep is for one measurement")?;
        let mut report = report::Report::kept()?;
        report.replace(name, measure(name, options.what, false)?)?;
        report.keep()?;
        return report.write();
    }
    ALL.iter().try_for_each(|(_, what)| prepare(*what, options))?;
    let mut results = Map::new();
    for (name, what) in ALL {
        results.insert((*name).to_owned(), measure(name, *what, options.quick)?);
    }
    let report = report::Report::new(results)?;
    if options.quick {
        println!("{}", report.page()?);
        return Ok(());
    }
    report.keep()?;
    report.write()
}

/// What the documents call it, if they have it.
fn name(what: What) -> Option<&'static str> {
    let same = |other: &What| mem::discriminant(other) == mem::discriminant(&what);
    ALL.iter().find(|(_, other)| same(other)).map(|(name, _)| *name)
}

/// Runs it.
fn measure(name: &str, what: What, quick: bool) -> anyhow::Result<Value> {
    let mut command = command(what, true, quick);
    eprintln!("+ {}", sh::shown(&command));
    let output = command.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(text.trim()).with_context(|| format!("bench {name}"))
}

/// Installs and builds what a measurement takes.
fn prepare(what: What, options: &Options) -> anyhow::Result<()> {
    let yes = options.yes;
    match what {
        What::Packet | What::Cpus | What::Tags | What::Report | What::Docs => return Ok(()),
        What::Leases => install::packages(PACKAGES, yes)?,
        What::Fairness => {
            install::packages(PACKAGES, yes)?;
            peers::install(yes)?;
        }
        What::Flood | What::Memory | What::Open => {
            install::packages(PACKAGES, yes)?;
            install::packages(PACKAGES_OF_GATES, yes)?;
            peers::install(yes)?;
            neighbours::unpack_gates(yes)?;
        }
    }
    if options.quick {
        return sh::run(Command::new("cargo").current_dir(paths::workspace()).arg("build"));
    }
    release::for_measuring(release::SERVER)?;
    release::for_measuring(release::CLIENT)
}

fn command(what: What, json: bool, quick: bool) -> Command {
    let bench = match what {
        What::Packet | What::Cpus => "packet",
        What::Tags => "tags",
        What::Leases => "leases",
        What::Fairness => "fairness",
        What::Flood | What::Memory | What::Open | What::Report | What::Docs => "gates",
    };
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::workspace()).arg("bench");
    if quick {
        // What `cargo xtask test` has built already.
        cargo.args(["--profile", "dev", "--workspace", "--exclude", "letmein-ebpf"]);
    } else {
        cargo.args(["--package", "letmein-tests"]);
    }
    cargo.args(["--bench", bench]);
    if json {
        cargo.arg("--quiet");
    }
    let flags = [
        ("--json", json),
        ("--quick", quick),
        ("--cpus", matches!(what, What::Cpus)),
        ("--memory", matches!(what, What::Memory)),
        ("--open", matches!(what, What::Open)),
    ];
    cargo.arg("--");
    cargo.args(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| flag));
    cargo
}
