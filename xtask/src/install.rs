//! Installing what a machine lacks, after saying what and why.

use crate::sh;
use anyhow::bail;
use std::{
    io::{IsTerminal as _, Write as _},
    process::Command,
};

/// A Debian package and what it is for.
pub struct Package {
    pub name: &'static str,
    pub purpose: &'static str,
}

/// Installs those of `packages` that dpkg does not have.
pub fn packages(packages: &[Package], yes: bool) -> anyhow::Result<()> {
    let missing: Vec<_> = packages
        .iter()
        .filter(|package| !installed(package.name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !sh::succeeds(Command::new("apt-get").arg("--version")) {
        let names: Vec<_> = missing.iter().map(|package| package.name).collect();
        bail!(
            "this machine has no apt-get; install what these Debian packages hold: {}",
            names.join(" ")
        );
    }
    eprintln!("These Debian packages are missing:");
    for package in &missing {
        eprintln!("  {:<26} {}", package.name, package.purpose);
    }
    confirm("Install them with apt-get?", yes)?;
    if sh::run(Command::new("apt-get").args(["update", "-qq"])).is_err() {
        eprintln!("apt-get update failed; trying with the package lists that are there");
    }
    let mut install = Command::new("apt-get");
    install
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "-y", "--no-install-recommends"]);
    sh::run(install.args(missing.iter().map(|package| package.name)))
}

/// Asks, unless `--yes` or CI has answered already.
pub fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes || std::env::var_os("CI").is_some() {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!("{question} Nobody is there to answer: call again with --yes");
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim().eq_ignore_ascii_case("y") {
        Ok(())
    } else {
        bail!("not installed, as you said")
    }
}

fn installed(package: &str) -> bool {
    sh::output(Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]))
        .is_some_and(|status| status == "install ok installed")
}
