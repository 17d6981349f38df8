//! The documents point at what there is: files, tests and each other. Needs no root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_common::reason::Reason;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Characters in a line, but for rows of tables, which cannot be broken.
const LINE: usize = 120;

/// The top of the repository.
fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every document: its path and its text.
fn documents() -> Vec<(PathBuf, String)> {
    let files = [top().to_owned(), top().join("docs")]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    files
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// What stands between two backticks in one line, with the document it is in.
fn quoted(documents: &[(PathBuf, String)]) -> impl Iterator<Item = (&Path, &str)> {
    documents.iter().flat_map(|(path, text)| {
        let words = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        words.map(|word| (path.as_path(), word))
    })
}

/// Whether a word is the path of a file or folder here, as far as its looks go. What is built is not here yet.
fn looks_like_a_path(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let folder = word.split_once('/').map(|(folder, _)| folder);
    let ours = |folder: &str| !["", "target"].contains(&folder) && top().join(folder).is_dir();
    word.chars().all(plain) && folder.is_some_and(ours)
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for (path, text) in documents() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let found = path.parent().unwrap().join(file);
            let found = if file.is_empty() { path.clone() } else { found };
            assert!(found.exists(), "{}: {target}", path.display());
            assert!(
                heading.is_empty() || headings(&found).contains(&heading.to_owned()),
                "{}: {target}",
                path.display()
            );
            links += 1;
        }
    }
    assert!(links > 5, "{links}");
}

/// The headings of a document as links name them: lower case, words joined by hyphens.
fn headings(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
            words.chars().filter(kept).collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn paths_are_those_of_files() {
    let documents = documents();
    let (mut paths, mut missing) = (0, Vec::new());
    for (document, word) in quoted(&documents) {
        let (path, _) = word.split_once("::").unwrap_or((word, ""));
        if looks_like_a_path(path) {
            if !top().join(path).exists() {
                missing.push(format!("{}: {word}", document.display()));
            }
            paths += 1;
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(paths > 30, "{paths}");
}

#[test]
fn tests_are_those_of_their_files() {
    let documents = documents();
    let mut tests = 0;
    for (document, word) in quoted(&documents) {
        if let Some((file, test)) = word.split_once(".rs::") {
            let file = top().join(format!("{file}.rs"));
            let code = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                code.contains(&format!("fn {test}(")),
                "{}: {word}",
                document.display()
            );
            tests += 1;
        }
    }
    assert!(tests > 20, "{tests}");
}

#[test]
fn lines_are_short_enough_to_read() {
    let mut long = Vec::new();
    for (path, text) in documents() {
        for (number, line) in text.lines().enumerate() {
            if !line.starts_with('|') && line.chars().count() > LINE {
                long.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn every_counter_is_explained_and_no_other() {
    let text = fs::read_to_string(top().join("docs/counters.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let explained: Vec<_> = rows.filter_map(|row| row.split('`').next()).collect();
    let mut counters = vec!["genuine"];
    counters.extend(Reason::ALL.iter().map(|reason| reason.name()));
    assert_eq!(explained, counters);
}
