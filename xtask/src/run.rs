//! Running the daemon from the source tree.

use crate::{build_ebpf, paths, sh};
use std::process::Command;

#[derive(clap::Args)]
pub struct Options {
    /// Install what is missing without asking.
    #[arg(long)]
    yes: bool,
    /// What `letmeind run` is given.
    #[arg(last = true, required = true)]
    daemon: Vec<String>,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    build_ebpf::run(&build_ebpf::Options {
        yes: options.yes,
        ..Default::default()
    })?;
    let cargo = || {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(paths::workspace());
        cargo
    };
    sh::run(cargo().args(["build", "--release", "--package", "letmein-daemon"]))?;
    sh::run(
        Command::new(paths::target().join("release/letmeind"))
            .arg("run")
            .args(&options.daemon),
    )
}
