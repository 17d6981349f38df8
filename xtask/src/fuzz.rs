//! Fuzzing: libFuzzer makes up inputs for each target of `fuzz/`, and keeps those that reach new code.
//!
//! It takes stable Rust and a C++ compiler. cargo-fuzz would take a nightly, for a sanitizer of memory errors, which Rust
//! without `unsafe` has none of; the compiler passes that tell libFuzzer where a program has been are options of stable.

mod report;

use crate::{build_ebpf, install, install::Package, paths, sh};
use anyhow::{Context as _, bail};
use clap::ValueEnum;
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

const PACKAGES: &[Package] = &[Package {
    name: "g++",
    purpose: "the C++ compiler: libFuzzer comes as source",
}];

/// What tells libFuzzer which code an input reaches, and what it is compared with there.
const INSTRUMENT: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

#[derive(clap::Args)]
pub struct Options {
    /// What to fuzz; without it, everything in turn.
    target: Option<Target>,
    /// For how long each.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Add what reached new code to the corpora in the repository, as few inputs as will do.
    #[arg(long)]
    keep: bool,
    /// Install what is missing without asking.
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// The reader of challenge messages.
    Challenge,
    /// The reader of silent knocks.
    Silent,
    /// The server's configuration.
    Config,
    /// The client's configuration.
    Client,
    /// The enrolment line.
    Enrolment,
    /// The exchange over TCP.
    Stream,
    /// What the gatekeeper asks the warden for.
    Requests,
    /// The readers of what the kernel says over netlink.
    Netlink,
    /// The XDP program beside the same checks in userspace. Needs root.
    Packets,
    /// The XDP program beside the kernel: what gets past it, and what does not. Needs root.
    Frames,
}

impl Target {
    /// As `fuzz/src/lib.rs` has it, with the length that no input exceeds.
    const fn name(self) -> (&'static str, u32) {
        match self {
            Self::Challenge => ("challenge", 64),
            Self::Silent => ("silent", 128),
            Self::Config => ("config", 4096),
            Self::Client => ("client", 2048),
            Self::Enrolment => ("enrolment", 2064),
            Self::Stream => ("stream", 256),
            Self::Requests => ("requests", 256),
            Self::Netlink => ("netlink", 1024),
            Self::Packets => ("packets", 512),
            Self::Frames => ("frames", 256),
        }
    }
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let targets = options
        .target
        .map_or(Target::value_variants().to_vec(), |one| vec![one]);
    if targets.contains(&Target::Packets) || targets.contains(&Target::Frames) {
        sh::require_root(
            "targets `packets` and `frames` run the XDP program (the others do not need it: name one)",
        )?;
        build_ebpf::run(&build_ebpf::Options {
            yes: options.yes,
            debug_log: false,
        })?;
    }
    if !sh::succeeds(Command::new("c++").arg("--version")) {
        install::packages(PACKAGES, options.yes)?;
    }
    let program = build()?;
    let mut rows = Vec::new();
    for target in targets {
        let run = Run::new(target)?;
        rows.push(run.fuzz(&program, options.seconds)?);
        if options.keep {
            run.keep(&program)?;
        }
    }
    report::print(&rows)
}

fn build() -> anyhow::Result<PathBuf> {
    let host = sh::output(Command::new("rustc").arg("-vV"));
    let host = host
        .as_deref()
        .and_then(|told| told.lines().find_map(|line| line.strip_prefix("host: ")));
    let host = host.context("rustc does not say which machine this is; is it installed?")?;
    let folder = paths::target().join("fuzz/build");
    // Naming the machine keeps the instruments out of what runs while building.
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(paths::workspace())
        .env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENT.join("\u{1f}"))
        .args(["build", "--package", "letmein-fuzz", "--features", "libfuzzer"])
        .args(["--profile", "fuzz", "--target", host, "--target-dir"])
        .arg(&folder);
    sh::run(&mut cargo)?;
    Ok(folder.join(host).join("fuzz/letmein-fuzz"))
}

/// One target, and the folders of its inputs.
struct Run {
    name: &'static str,
    longest: u32,
    /// In the repository.
    corpus: PathBuf,
    /// What is found on the way; the next run begins with it.
    found: PathBuf,
    crashes: PathBuf,
}

impl Run {
    fn new(target: Target) -> anyhow::Result<Self> {
        let (name, longest) = target.name();
        let below = |folder: &str| paths::target().join("fuzz").join(folder).join(name);
        let run = Self {
            name,
            longest,
            corpus: paths::workspace().join("fuzz/corpus").join(name),
            found: below("corpus"),
            crashes: below("crashes"),
        };
        for folder in [&run.found, &run.crashes] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(run)
    }

    fn command(&self, program: &PathBuf) -> Command {
        let mut command = Command::new(program);
        command
            .env("LETMEIN_FUZZ_TARGET", self.name)
            .arg(format!("-max_len={}", self.longest))
            .arg(format!("-artifact_prefix={}/", self.crashes.display()));
        command
    }

    fn fuzz(&self, program: &PathBuf, seconds: u32) -> anyhow::Result<report::Row> {
        eprintln!("{}: {seconds} s", self.name);
        let mut command = self.command(program);
        command
            .arg(format!("-max_total_time={seconds}"))
            .args(["-print_final_stats=1", "-timeout=10", "-verbosity=0"])
            .args([&self.found, &self.corpus])
            .stdin(Stdio::null());
        let output = command.output().context("cannot start libFuzzer")?;
        let told = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            eprintln!("{told}");
            bail!(
                "target {} found something: the input is in {}. A copy in {} makes it a test: `cargo test -p letmein-fuzz`",
                self.name,
                self.crashes.display(),
                self.corpus.display()
            );
        }
        report::Row::read(self.name, seconds, &told)
    }

    fn keep(&self, program: &PathBuf) -> anyhow::Result<()> {
        let mut command = self.command(program);
        // By lines that are reached, and not by how often each is: a handful of inputs instead of thousands.
        let how = ["-merge=1", "-set_cover_merge=1", "-use_counters=0"];
        sh::run(command.args(how).args([&self.corpus, &self.found]))
    }
}

#[cfg(test)]
mod tests {
    use super::Target;
    use clap::ValueEnum as _;

    #[test]
    fn the_targets_are_those_of_the_crate() {
        let here: Vec<_> = Target::value_variants()
            .iter()
            .map(|target| target.name())
            .collect();
        let there: Vec<_> = letmein_fuzz::TARGETS
            .iter()
            .map(|target| (target.name, u32::try_from(target.longest).unwrap()))
            .collect();
        assert_eq!(here, there);
    }
}
