//! Commands that documents name within their sentences: there is such a verb, and it has these options.

use crate::checkout::{explanation, is_explained};
use letmein_tests::document::documents;

/// What a command begins with, and the program that knows.
const PROGRAMS: &[(&str, &str)] = &[
    ("letmein ", "letmein"),
    ("letmeind ", "letmeind"),
    ("cargo xtask ", "xtask"),
];

#[test]
fn within_sentences() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for (document, text) in documents().unwrap() {
        for (number, line) in text.lines().enumerate() {
            for word in line.split('`').skip(1).step_by(2) {
                for (beginning, program) in PROGRAMS {
                    let Some(rest) = word.strip_prefix(beginning) else {
                        continue;
                    };
                    checked += 1;
                    if !is_right(program, rest) {
                        wrong.push(format!("{document}:{}: {word}", number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked > 50, "{checked}");
}

/// The first word is a verb, and so is the second where the first has verbs of its own. What is in capitals is the
/// reader's.
fn is_right(program: &str, rest: &str) -> bool {
    let words: Vec<_> = rest.split_whitespace().collect();
    let options: Vec<_> = words
        .iter()
        .copied()
        .filter(|word| word.starts_with("--"))
        .collect();
    let of_a_verb = |c: char| c.is_ascii_lowercase() || c == '-';
    let mut verbs: Vec<_> = words
        .iter()
        .copied()
        .take_while(|word| word.chars().all(of_a_verb) && !word.starts_with('-'))
        .collect();
    let first = verbs.get(..1).unwrap_or_default();
    let has_verbs = explanation(program, first).is_some_and(|text| text.contains("\nCommands:\n"));
    verbs.truncate(if has_verbs { 2 } else { 1 });
    is_explained(program, &verbs, &options)
}
