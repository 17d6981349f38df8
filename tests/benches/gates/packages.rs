//! Programs of Debian packages that `cargo xtask bench` has unpacked.

use anyhow::Context as _;
use letmein_tests::gate::program;
use std::{path::PathBuf, process::Command};

/// A file of a package.
pub fn unpacked(package: &str, file: &str) -> anyhow::Result<PathBuf> {
    program("peers/bin/letmein")?
        .ancestors()
        .map(|folder| folder.join("gates").join(package).join(file))
        .find(|path| path.exists())
        .with_context(|| format!("{package} is not unpacked: run this by `cargo xtask bench`"))
}

/// Folders of libraries that fwknop takes.
pub fn libraries_path() -> anyhow::Result<String> {
    let of = |package| unpacked(package, "usr/lib/x86_64-linux-gnu");
    let folders: Result<Vec<_>, _> = ["libfko3", "libgpgme11", "libassuan0"]
        .into_iter()
        .map(of)
        .collect();
    let folders = folders?;
    let names: Vec<_> = folders.iter().map(|folder| folder.to_string_lossy()).collect();
    Ok(names.join(":"))
}

/// A program that finds them.
pub fn libraries(command: &mut Command) -> anyhow::Result<&mut Command> {
    Ok(command.env("LD_LIBRARY_PATH", libraries_path()?))
}
