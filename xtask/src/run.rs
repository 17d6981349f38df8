//! Running the gate from the source tree: for real, or as a demonstration.

use crate::{build_ebpf, demo, paths, sh};
use std::process::Command;

#[derive(clap::Args)]
pub struct Options {
    /// Install what is missing without asking.
    #[arg(long)]
    yes: bool,
    /// Leave the demonstration up until Enter or Ctrl-C, with commands to try.
    #[arg(long, conflicts_with = "daemon")]
    keep: bool,
    /// Log every packet that the XDP program refuses. For debugging only.
    #[arg(long)]
    debug_log: bool,
    /// What `letmeind run` is given; without it, the gate is demonstrated in network namespaces.
    #[arg(last = true)]
    daemon: Vec<String>,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.daemon.is_empty() {
        return demo::run(options.yes, options.keep);
    }
    build_ebpf::run(&build_ebpf::Options {
        yes: options.yes,
        debug_log: options.debug_log,
    })?;
    let mut cargo = Command::new("cargo");
    if options.debug_log {
        let object = build_ebpf::folder(true).join("letmein.bpf.o");
        cargo.env("LETMEIN_EBPF_OBJECT", object);
    }
    let arguments = ["build", "--release", "--package", "letmein-daemon"];
    sh::run(cargo.current_dir(paths::workspace()).args(arguments))?;
    sh::run(
        Command::new(paths::target().join("release/letmeind"))
            .arg("run")
            .args(&options.daemon),
    )
}
