//! Rules of `CONTRIBUTING.md` that neither the compiler nor clippy knows.

use super::{
    sources::Source,
    tokens::{attribute, list, word},
};
use proc_macro2::{TokenStream, TokenTree};

/// Lines of the longest file that needs no entry below. Files are meant to be much shorter.
const LINES: usize = 400;

/// Files that are longer, and why they are not cut up.
const LONGER: &[(&str, &str)] = &[
    (
        "letmein-daemon/src/config/tests/bad.rs",
        "a list of mistakes and what is said about each",
    ),
    (
        "letmein-daemon/src/firewall/mod.rs",
        "the one type through which nftables is programmed",
    ),
    (
        "letmein-ebpf/src/tables.rs",
        "all maps of the gate beside the one trait that reads them",
    ),
    (
        "letmein-daemon/tests/firewall.rs",
        "what is promised of that type, one test after another",
    ),
];

/// What is wrong, a line each.
pub fn check(files: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files {
        let path = &file.path;
        if !file.text.starts_with("//! ") {
            problems.push(format!(
                "{path}: the first line is to say what the file is for: `//! …`"
            ));
        }
        let lines = file.text.lines().count();
        let listed = LONGER.iter().any(|(longer, _why)| longer == path);
        if lines > LINES && !listed {
            problems.push(format!(
                "{path}: {lines} lines, of {LINES} at the most: cut it up, or list it in xtask/src/tidy/rules.rs with a reason"
            ));
        }
        if lines <= LINES && listed {
            problems.push(format!(
                "{path}: {lines} lines, so it need not be in xtask/src/tidy/rules.rs"
            ));
        }
        for line in skipped_tests(&file.tokens) {
            problems.push(format!(
                "{path}:{line}: a test that is ignored shows nothing: run it or remove it"
            ));
        }
    }
    for (longer, _why) in LONGER {
        if !files.iter().any(|file| file.path == *longer) {
            problems.push(format!(
                "{longer}: there is no such file: remove it from xtask/src/tidy/rules.rs"
            ));
        }
    }
    problems
}

/// The lines of `#[ignore]`.
fn skipped_tests(tokens: &TokenStream) -> Vec<usize> {
    let tokens = list(tokens.clone());
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if let Some(inside) = attribute(&tokens[index..])
            && word(list(inside.stream()).first()).as_deref() == Some("ignore")
        {
            found.push(token.span().start().line);
        }
        if let TokenTree::Group(inner) = token {
            found.extend(skipped_tests(&inner.stream()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{LINES, Source, check};

    /// What is said of one file, without what is said of the list.
    fn said_of(text: &str) -> Vec<String> {
        let file = Source {
            path: "some/file.rs".to_owned(),
            text: text.to_owned(),
            tokens: text.parse().unwrap(),
        };
        let mut problems = check(&[file]);
        problems.retain(|problem| problem.starts_with("some/file.rs"));
        problems
    }

    #[test]
    fn a_short_file_that_says_what_it_is_for_is_tidy() {
        assert_eq!(said_of("//! Adds.\n#[test]\nfn adds() {}\n"), [""; 0]);
    }

    #[test]
    fn each_rule_is_told_by_its_breach() {
        let long = "//! Long.\n".to_owned() + &"fn f() {}\n".repeat(LINES);
        for (text, said) in [
            ("fn f() {}\n", "what the file is for"),
            (long.as_str(), "cut it up"),
            (
                "//! Tests.\nmod tests {\n#[test]\n#[ignore]\nfn f() {}\n}\n",
                ":4: a test that is ignored",
            ),
            (
                "//! Tests.\nmod tests {\n#[test]\n#[ignore = \"slow\"]\nfn f() {}\n}\n",
                ":4: a test that is ignored",
            ),
        ] {
            let problems = said_of(text);
            assert!(problems.len() == 1 && problems[0].contains(said), "{problems:?}");
        }
    }
}
