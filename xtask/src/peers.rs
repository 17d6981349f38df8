//! Installing the other implementation, which the interoperability tests run against.

use crate::{install, paths, sh};
use std::process::Command;

/// The release that is tested against.
const VERSION: &str = "12.6.2";
/// Its programs; each comes from a crate of the same name.
const PROGRAMS: [(&str, &str); 3] = [
    ("letmein", "its client, which knocks on our server"),
    ("letmeind", "its server, which our client knocks on"),
    ("letmeinfwd", "the part of its server that programs nftables"),
];

/// Installs those of its programs that are not there, or not in the right version, below the target folder: nothing
/// else on the machine sees them.
pub fn install(yes: bool) -> anyhow::Result<()> {
    let root = paths::target().join("peers");
    let missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(name, _)| {
            let said = sh::output(Command::new(root.join("bin").join(name)).arg("--version"));
            !said.is_some_and(|said| is_version(&said))
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!(
        "The interoperability tests run against letmein {VERSION}, of which these programs are missing:"
    );
    for (name, purpose) in &missing {
        eprintln!("  {name:<26} {purpose}");
    }
    let question = format!("Install them with cargo, in {} only?", root.display());
    install::confirm(&question, yes)?;
    let mut cargo = Command::new("cargo");
    sh::without_cargo_environment(&mut cargo);
    // Not `--locked`: with the lock files of this release it does not build. `--force` replaces another version, and
    // in one target folder what they have in common is built once.
    cargo
        .args(["install", "--force", "--target-dir"])
        .arg(root.join("build"));
    cargo.arg("--root").arg(root);
    sh::run(cargo.args(missing.iter().map(|(name, _)| format!("{name}@{VERSION}"))))
}

/// They say `letmeind version 12.6.2`.
fn is_version(said: &str) -> bool {
    said.split_whitespace().last() == Some(VERSION)
}

#[cfg(test)]
mod tests {
    use super::is_version;

    #[test]
    fn only_the_release_that_is_tested_against_will_do() {
        assert!(is_version("letmeind version 12.6.2\n"));
        assert!(!is_version("letmeind version 12.6.20\n"));
        assert!(!is_version("letmein 0.1.0\n"));
        assert!(!is_version(""));
    }
}
