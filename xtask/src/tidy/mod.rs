//! What the documents promise about the source and no other tool checks: every `unsafe` has its reason, and is in the
//! list of them; every file says what it is for and is short enough to read; no test is skipped.

mod catalogue;
mod rules;
mod sources;
mod tokens;
mod unsafety;

use crate::paths;
use anyhow::{Context as _, bail};
use std::fs;

/// The list of unsafe code, from the top of the repository.
const CATALOGUE: &str = "docs/unsafe.md";

#[derive(clap::Args)]
pub struct Options {
    /// Write the list of unsafe code anew, where it is checked otherwise.
    #[arg(long)]
    write: bool,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let files = sources::all(&paths::workspace())?;
    let mut problems = rules::check(&files);
    let mut found = Vec::new();
    for file in &files {
        for one in unsafety::find(&file.tokens, &file.text) {
            if one.reason.is_none() {
                problems.push(format!(
                    "{}:{}: unsafe ({}) without a `// SAFETY:` comment above it: say why it holds",
                    file.path, one.line, one.item
                ));
            }
            found.push((file.path.as_str(), one));
        }
    }
    let path = paths::workspace().join(CATALOGUE);
    let catalogue = catalogue::render(&found);
    if options.write {
        fs::write(&path, catalogue).with_context(|| format!("cannot write {}", path.display()))?;
    } else if fs::read_to_string(&path).ok().as_ref() != Some(&catalogue) {
        problems.push(format!(
            "{CATALOGUE} is not what the source says: `cargo xtask tidy --write` writes it; look at the difference"
        ));
    }
    if !problems.is_empty() {
        bail!("the source is not tidy:\n  {}", problems.join("\n  "));
    }
    eprintln!(
        "{} files are tidy; {} places are unsafe, each with its reason",
        files.len(),
        found.len()
    );
    Ok(())
}
