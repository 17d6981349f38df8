//! `cargo xtask`: build, run and test letmein. Each verb is a module of its own.

mod build_ebpf;
mod install;
mod paths;
mod run;
mod sh;
mod test;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, run and test letmein")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Compile the XDP program for the kernel; installs the compilers it needs.
    BuildEbpf(build_ebpf::Options),
    /// Build all and run the daemon: `cargo xtask run -- --config FILE [--interface IF]`.
    Run(run::Options),
    /// Build all and run every test. Needs root: tests make network namespaces.
    Test(test::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().verb {
        Verb::BuildEbpf(options) => build_ebpf::run(&options),
        Verb::Run(options) => run::run(&options),
        Verb::Test(options) => test::run(&options),
    }
}
