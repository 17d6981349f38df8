//! What can be known here of other systems: that the client compiles for them, and the server for another processor.

use crate::{install, paths, sh};
use anyhow::{Context as _, bail};
use std::process::{Command, Stdio};

/// A package and what it is compiled for, beside what everything is compiled for here.
struct Elsewhere {
    package: &'static str,
    target: &'static str,
    purpose: &'static str,
}

const ALL: &[Elsewhere] = &[
    Elsewhere {
        package: "letmein-client",
        target: "x86_64-pc-windows-gnu",
        purpose: "the client on Windows",
    },
    Elsewhere {
        package: "letmein-client",
        target: "aarch64-apple-darwin",
        purpose: "the client on macOS",
    },
    Elsewhere {
        package: "letmein-daemon",
        target: "aarch64-unknown-linux-gnu",
        purpose: "the server on aarch64, whose lists of system calls are others",
    },
];

#[derive(clap::Args)]
pub struct Options {
    /// Install what is missing without asking.
    #[arg(long)]
    yes: bool,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    install_targets(options.yes)?;
    for elsewhere in ALL {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(paths::workspace()).stdin(Stdio::null()).args([
            "clippy",
            "--package",
            elsewhere.package,
            "--target",
            elsewhere.target,
            "--",
            "-D",
            "warnings",
        ]);
        sh::run(&mut cargo).with_context(|| format!("{} does not compile", elsewhere.purpose))?;
    }
    for elsewhere in ALL {
        println!("{} compiles: {}", elsewhere.target, elsewhere.purpose);
    }
    Ok(())
}

/// The standard library for each of them, from rustup. No C compiler is needed: nothing is linked.
fn install_targets(yes: bool) -> anyhow::Result<()> {
    let Some(installed) = sh::output(Command::new("rustup").args(["target", "list", "--installed"])) else {
        bail!(
            "only rustup has the standard library for other systems: install Rust with it, https://rustup.rs"
        );
    };
    let missing = missing(&installed);
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("These targets of Rust's standard library are missing:");
    for elsewhere in &missing {
        eprintln!("  {:<26} {}", elsewhere.target, elsewhere.purpose);
    }
    install::confirm("Install them with rustup?", yes)?;
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add"]);
    sh::run(rustup.args(missing.iter().map(|elsewhere| elsewhere.target)))
}

fn missing(installed: &str) -> Vec<&'static Elsewhere> {
    let there = |target| installed.lines().any(|line| line.trim() == target);
    ALL.iter().filter(|elsewhere| !there(elsewhere.target)).collect()
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn what_is_there_is_not_installed_again() {
        let missing = missing("aarch64-apple-darwin\nx86_64-pc-windows-gnullvm\n");
        let targets: Vec<_> = missing.iter().map(|elsewhere| elsewhere.target).collect();
        assert_eq!(targets, ["x86_64-pc-windows-gnu", "aarch64-unknown-linux-gnu"]);
    }
}
