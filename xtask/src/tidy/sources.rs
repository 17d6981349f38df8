//! The Rust files of the workspace, read and cut into tokens.

use anyhow::{Context as _, anyhow};
use proc_macro2::TokenStream;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// One file.
pub struct Source {
    /// From the top of the repository.
    pub path: String,
    pub text: String,
    pub tokens: TokenStream,
}

/// All of them, in the order of their paths. A folder at the top is a crate's if it has a manifest, so nothing below
/// `target` is among them.
pub fn all(top: &Path) -> anyhow::Result<Vec<Source>> {
    let mut paths = Vec::new();
    for folder in entries(top)? {
        if folder.join("Cargo.toml").is_file() {
            collect(&folder, &mut paths)?;
        }
    }
    paths.sort();
    paths.iter().map(|path| read(top, path)).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in entries(folder)? {
        if entry.is_dir() {
            collect(&entry, paths)?;
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            paths.push(entry);
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot_read = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).with_context(cannot_read)?;
    entries
        .map(|entry| Ok(entry.with_context(cannot_read)?.path()))
        .collect()
}

fn read(top: &Path, path: &Path) -> anyhow::Result<Source> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let path = path.strip_prefix(top).unwrap_or(path).display().to_string();
    let tokens = text
        .parse()
        .map_err(|error| anyhow!("{path} is not Rust: {error}"))?;
    Ok(Source { path, text, tokens })
}
