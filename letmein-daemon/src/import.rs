//! `letmeind import`: letmein 12's configuration as one of ours.

use crate::config::Config;
use anyhow::{Context as _, anyhow};
use letmein_enrolment::file;
use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};
use zeroize::Zeroizing;

/// Prints what the file becomes, or writes it to a new file that only its owner can read. What still has to be changed
/// by hand is the error then.
pub fn run(from: &Path, interfaces: &[String], output: Option<&Path>) -> anyhow::Result<()> {
    let text = fs::read_to_string(from).with_context(|| format!("cannot read {}", from.display()))?;
    let text = Zeroizing::new(text);
    let ours =
        letmein_import::server(&text, interfaces).map_err(|error| anyhow!("{}: {error}", from.display()))?;
    if let Some(path) = output {
        file::make_folder_of(path)
            .and_then(|()| file::write_new(path, &ours))
            .with_context(|| format!("cannot write {}", path.display()))?;
    } else {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(ours.as_bytes())
            .and_then(|()| stdout.flush())
            .context("cannot write to standard output")?;
    }
    let path = output.unwrap_or(Path::new("letmeind.toml"));
    let checked = Config::parse(&ours, path, path.parent().unwrap_or(Path::new("")));
    checked
        .map(drop)
        .context("all was taken over, but something has to be changed")
}
