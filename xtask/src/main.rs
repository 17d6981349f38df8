//! `cargo xtask`: build, run and test letmein. Each verb is a module of its own.

mod bench;
mod build_ebpf;
mod demo;
mod dist;
mod doctor;
mod fuzz;
mod install;
mod neighbours;
mod paths;
mod peers;
mod portability;
mod release;
mod reproduce;
mod run;
mod sh;
mod test;
mod test_kernels;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

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
    /// Build all and demonstrate the gate in network namespaces; with arguments after `--`, run the daemon for real:
    /// `cargo xtask run -- --config FILE [--interface IF]`. Needs root.
    Run(run::Options),
    /// Measure, and compare in the same run. Needs root.
    Bench(bench::Options),
    /// Search for bytes that confuse what reads them, or that the XDP program judges otherwise than userspace would.
    /// `cargo xtask test` runs the same targets for a moment.
    Fuzz(fuzz::Options),
    /// Build what is shipped, reproducibly, and tell its check sums.
    Release(release::Options),
    /// Build what is shipped twice, in two folders, and see that the bytes are the same.
    Reproduce(reproduce::Options),
    /// Tell what this machine has and lacks, and what to do about it.
    Doctor,
    /// Build all and run every test. Needs root: tests make network namespaces.
    Test(test::Options),
    /// Run the end-to-end tests on other kernels, in an emulated machine.
    TestKernels(test_kernels::Options),
    /// Compile the client for Windows and macOS, and the server for aarch64: whether that goes, not whether it works.
    Portability(portability::Options),
    /// Build packages of server and client, for Debian and for systems with rpm, and tarballs; and try them out.
    Dist(dist::Options),
    /// Check what the documents promise about the source: every `unsafe` has its reason, files are short and say what
    /// they are for.
    Tidy(tidy::Options),
}

fn main() -> ExitCode {
    match carry_out(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::BuildEbpf(options) => build_ebpf::run(&options),
        Verb::Run(options) => run::run(&options),
        Verb::Bench(options) => bench::run(&options),
        Verb::Fuzz(options) => fuzz::run(&options),
        Verb::Release(options) => release::run(&options),
        Verb::Reproduce(options) => reproduce::run(&options),
        Verb::Doctor => doctor::run(),
        Verb::Test(options) => test::run(&options),
        Verb::TestKernels(options) => test_kernels::run(&options),
        Verb::Portability(options) => portability::run(&options),
        Verb::Dist(options) => dist::run(&options),
        Verb::Tidy(options) => tidy::run(&options),
    }
}
