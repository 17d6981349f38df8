//! What the documents tell their readers to type, so that tests can type it.

use anyhow::{Context as _, bail};
use std::{fs, path::Path};

/// A fenced block of a document. What stands behind its fence is the language and then where it belongs:
/// `sh client` are commands for who knocks, `toml client ~/.config/letmein/letmein.toml` is a file there.
pub struct Block {
    /// The document's path from the top of the repository.
    pub document: String,
    /// Where its fence is.
    pub line: usize,
    /// The first word behind the fence.
    pub language: String,
    /// The second word; empty if there is none.
    pub place: String,
    /// The third word: the file, or of commands what they are for, where one test types them at several moments.
    pub file: String,
    /// What it says, without the indentation of a list around it.
    pub text: String,
}

impl Block {
    /// What to type, a command at a time: lines that end with a backslash go on, and comments are left out.
    pub fn commands(&self) -> impl Iterator<Item = String> {
        let joined = self.text.replace("\\\n", " ");
        let lines: Vec<_> = joined
            .lines()
            .map(|line| line.split(" # ").next().unwrap_or_default().trim().to_owned())
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        lines.into_iter()
    }
}

/// The top of the repository.
#[must_use]
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new(""))
}

/// Every document of the repository, by its path from the top: its text.
pub fn documents() -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for folder in ["", "docs"] {
        for entry in fs::read_dir(top().join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.strip_prefix(top())?.display().to_string();
                found.push((name, fs::read_to_string(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The fenced blocks of all documents, in order.
pub fn blocks() -> anyhow::Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for (document, text) in documents()? {
        let mut lines = text.lines().enumerate();
        while let Some((number, fence)) = lines.find(|(_, line)| line.trim_start().starts_with("```")) {
            let indentation = fence.len() - fence.trim_start().len();
            let info = fence.trim().trim_start_matches('`');
            let mut words = info.split_whitespace().map(ToOwned::to_owned);
            let mut text = String::new();
            loop {
                let (_, line) = lines
                    .next()
                    .with_context(|| format!("{document}:{}: a block without an end", number + 1))?;
                if line.trim() == "```" {
                    break;
                }
                text.push_str(line.get(indentation..).unwrap_or_default());
                text.push('\n');
            }
            let mut next = || words.next().unwrap_or_default();
            blocks.push(Block {
                document: document.clone(),
                line: number + 1,
                language: next(),
                place: next(),
                file: next(),
                text,
            });
        }
    }
    Ok(blocks)
}

/// The commands that a document has for one place, which only some test can have, and one moment there, if there are
/// several.
pub fn commands_for(document: &str, place: &str, moment: &str) -> anyhow::Result<Vec<String>> {
    let blocks = blocks()?;
    let wanted = blocks.iter().filter(|block| {
        (block.document.as_str(), block.language.as_str()) == (document, "sh")
            && (block.place.as_str(), block.file.as_str()) == (place, moment)
    });
    let commands: Vec<_> = wanted.flat_map(Block::commands).collect();
    if commands.is_empty() {
        bail!("{document} has no block for {place} {moment}");
    }
    Ok(commands)
}
