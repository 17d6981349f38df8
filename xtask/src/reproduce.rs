//! Are releases reproducible? Builds them twice, from two copies of the source in two folders, and compares the bytes.

use crate::{
    paths,
    release::{CLIENT, Release, SERVER, checksum},
    sh,
};
use anyhow::{Context as _, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What is at the top of a workspace and no source.
const NO_SOURCE: [&str; 2] = ["target", ".git"];

#[derive(clap::Args)]
pub struct Options {
    /// The server as well, which takes longer than all the rest.
    #[arg(long)]
    all: bool,
    /// Install what is missing without asking.
    #[arg(long)]
    yes: bool,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let folder = paths::target().join("reproduce");
    remove(&folder)?;
    // Names of different lengths: what depends on them is moved as well.
    let here = copy(&folder.join("a"), "target")?;
    let there = copy(&folder.join("another-folder"), "elsewhere/target")?;
    let (first, second) = (build(&here, options)?, build(&there, options)?);
    for (one, other) in first.iter().zip(&second) {
        compare(one, other)?;
    }
    remove(&folder)
}

/// A copy of the source, and where it is to be built.
fn copy(folder: &Path, target: &str) -> anyhow::Result<Release> {
    let workspace = folder.join("source");
    fs::create_dir_all(&workspace)?;
    copy_source(&workspace)?;
    Ok(Release {
        workspace,
        target: folder.join(target),
    })
}

fn build(release: &Release, options: &Options) -> anyhow::Result<Vec<PathBuf>> {
    let object = release.object(options.yes)?;
    let mut built = vec![object.clone(), release.program(CLIENT, &object)?];
    if options.all {
        built.push(release.program(SERVER, &object)?);
    }
    Ok(built)
}

fn copy_source(to: &Path) -> anyhow::Result<()> {
    let top = paths::workspace();
    let target = paths::target();
    let entries = fs::read_dir(&top).with_context(|| format!("cannot read {}", top.display()))?;
    for entry in entries {
        let entry = entry?;
        if NO_SOURCE.iter().any(|name| entry.file_name() == *name) || target.starts_with(entry.path()) {
            continue;
        }
        // With the time of now, and not that of the original.
        if !sh::succeeds(Command::new("cp").arg("-r").arg(entry.path()).arg(to)) {
            bail!("cannot copy {} to {}", entry.path().display(), to.display());
        }
    }
    Ok(())
}

fn compare(one: &Path, other: &Path) -> anyhow::Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (first, second) = (read(one)?, read(other)?);
    let name = one.file_name().unwrap_or_default().display();
    if first != second {
        let at = first
            .iter()
            .zip(&second)
            .position(|(first, second)| first != second);
        bail!(
            "{name} is not reproducible: {} and {} differ from byte {} on. They are left there; `diffoscope` explains",
            one.display(),
            other.display(),
            at.unwrap_or(first.len().min(second.len()))
        );
    }
    let sum = checksum(one)?;
    println!("{name}: twice the same {} bytes, SHA-256 {sum}", first.len());
    Ok(())
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
