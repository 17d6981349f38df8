//! `docs/unsafe.md`: every place that is unsafe, by file.

use super::unsafety::Unsafe;
use std::fmt::Write as _;

const HEAD: &str = "# Unsafe code

Every place in the workspace where the compiler takes our word for something, with the word that is given. Written by
`cargo xtask tidy --write` from the source and its `SAFETY` comments; `cargo xtask tidy`, which `.ci/run` runs, fails
when it is out of date or a place has no reason. \"As above\" is the reason in the row before.
";

/// The document.
pub fn render(found: &[(&str, Unsafe)]) -> String {
    let mut text = HEAD.to_owned();
    let mut last = "";
    for (path, one) in found {
        if *path != last {
            // Writing to a string cannot fail.
            let _infallible = write!(text, "\n## `{path}`\n\n| What | Why it holds |\n| --- | --- |\n");
            last = path;
        }
        let reason = one.reason.as_deref().unwrap_or_default();
        let _infallible = writeln!(
            text,
            "| {} | {} |",
            one.item,
            sentence(reason).replace('|', "\\|")
        );
    }
    text
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
