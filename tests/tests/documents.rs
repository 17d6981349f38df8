//! The documents point at what there is: files, tests and each other. Needs no root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_common::reason::Reason;
use std::{
    collections::BTreeSet,
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

/// What programs write repeats itself.
const WRITTEN_BY_PROGRAMS: &[&str] = &["unsafe.md", "benchmarks.md"];

/// Two who edit one paragraph or table at the same time are easily merged into both versions of it.
#[test]
fn nothing_is_said_twice() {
    let mut twice = Vec::new();
    for (path, text) in documents() {
        if WRITTEN_BY_PROGRAMS.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        let (mut fenced, mut lines, mut rows) = (false, BTreeSet::new(), BTreeSet::new());
        for (number, line) in text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            // What a table is about is in its first cell, if that is a name.
            let said = if let Some(row) = line.strip_prefix("| ") {
                let name = row
                    .split(" | ")
                    .next()
                    .filter(|cell| cell.starts_with(['`', '*']));
                name.is_some_and(|name| !rows.insert(name))
            } else {
                rows.clear();
                !fenced && line.len() > 40 && !lines.insert(line)
            };
            if said {
                twice.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(twice.is_empty(), "{twice:#?}");
}

/// The crates' folders of which the map has every file and folder.
const MAPPED: &[&str] = &[
    "letmein-common/src",
    "letmein-ebpf/src",
    "letmein-daemon/src",
    "letmein-client/src",
];

#[test]
fn the_map_has_every_module() {
    let text = fs::read_to_string(top().join("docs/architecture.md")).unwrap();
    let mut missing = Vec::new();
    for folder in MAPPED {
        let entries = fs::read_dir(top().join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().path());
        for path in names.filter(|path| !path.ends_with("tests.rs")) {
            let stem = path.file_stem().unwrap().to_string_lossy();
            let file = format!("`{stem}.rs`");
            let below = ["/", ".rs`"].map(|end| format!("/{stem}{end}"));
            let above = format!("`{stem}/`");
            let named =
                text.contains(&file) || text.contains(&above) || below.iter().any(|name| text.contains(name));
            if !named && stem != "lib" {
                missing.push(path.display().to_string());
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_bpf_map_is_explained_and_no_other() {
    let names = |text: &str, before: &str, after: char| -> BTreeSet<String> {
        let lines = text
            .lines()
            .filter_map(|line| line.trim_start_matches("pub ").strip_prefix(before));
        let names = lines.filter_map(|line| line.split(after).next());
        let capitals = |name: &&str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        names.filter(capitals).map(ToOwned::to_owned).collect()
    };
    let code = ["tables.rs", "shield.rs"].map(|name| {
        let path = top().join("letmein-ebpf/src").join(name);
        names(&fs::read_to_string(path).unwrap(), "static ", ':')
    });
    let text = fs::read_to_string(top().join("docs/architecture.md")).unwrap();
    assert_eq!(names(&text, "| `", '`'), code.into_iter().flatten().collect());
}
