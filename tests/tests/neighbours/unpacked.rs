//! Debian's packages, unpacked below the target folder. Installed, they would be firewalls of this machine.

use letmein_tests::gate::program;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Debian's Python, for which its packages are.
pub const PYTHON: &str = "/usr/bin/python3";
/// Where packages have their modules for it.
pub const MODULES: &str = "usr/lib/python3/dist-packages";

/// Copies unpacked packages to a folder: they write beside their own files.
pub fn copy(packages: &[&str], to: &Path) {
    for package in packages {
        let from = folder(package);
        run(Command::new("cp").arg("-a").arg(from.join(".")).arg(to));
    }
}

fn folder(package: &str) -> PathBuf {
    // Every package has this folder.
    let documents = program(&format!("neighbours/{package}/usr/share/doc/{package}/copyright")).unwrap();
    documents.ancestors().nth(5).unwrap().to_owned()
}

/// Runs a program that has to succeed. Returns what it printed.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (said, error) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}: {said}{error}");
    said
}
