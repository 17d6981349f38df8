//! What is wrong with a configuration, collected so that one run tells everything.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// As many hexadecimal digits in a row may be a key, or most of one, in the wrong place.
const KEY_LIKE: usize = 48;

/// Why a configuration is refused: every problem, in the order of the file, each on a line of its own.
#[derive(Debug, Error)]
#[error("{}", one_per_line(.problems))]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One thing that is wrong. Shown as `FILE:LINE:COLUMN: TEXT`, or `FILE: TEXT` if it is about the whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub position: Option<Position>,
    /// What is wrong, and what to do about it. Never contains a key.
    pub text: String,
}

/// A place in a text; both numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl ConfigError {
    /// A file as a whole is wrong.
    pub(super) fn whole_file(path: &Path, text: &str) -> Self {
        let problem = Problem {
            path: path.to_owned(),
            position: None,
            text: hide_keys(text),
        };
        Self {
            problems: vec![problem],
        }
    }

    /// All problems; never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.path.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(formatter, "{line}:{column}:")?;
        }
        write!(formatter, " {}", self.text)
    }
}

fn one_per_line(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The problems found so far in one text.
pub(super) struct Report<'a> {
    path: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    pub fn new(path: &'a Path, text: &'a str) -> Self {
        Self {
            path,
            text,
            problems: Vec::new(),
        }
    }

    /// Notes a problem with the bytes `at` of the text.
    pub fn add(&mut self, at: &Range<usize>, text: impl AsRef<str>) {
        let position = Some(self.position(at));
        self.problems.push(Problem {
            path: self.path.to_owned(),
            position,
            text: hide_keys(text.as_ref()),
        });
    }

    /// Notes a problem with an option of the command line.
    pub fn add_argument(&mut self, option: &str, text: &str) {
        self.problems.push(Problem {
            path: option.into(),
            position: None,
            text: hide_keys(text),
        });
    }

    /// The value if nothing was wrong with it; otherwise everything that was.
    pub fn finish<T>(mut self, value: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() {
            return Ok(value);
        }
        self.problems.sort_by_key(|problem| problem.position);
        Err(ConfigError {
            problems: self.problems,
        })
    }

    /// Where the bytes `at` begin.
    pub fn position(&self, at: &Range<usize>) -> Position {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: 1 + before.bytes().filter(|byte| *byte == b'\n').count(),
            column: 1 + before.get(line_start..).unwrap_or_default().chars().count(),
        }
    }
}

/// Error texts quote what was written; a key that was written in the wrong place must not be among it.
fn hide_keys(text: &str) -> String {
    text.split_inclusive(|c: char| !c.is_ascii_hexdigit())
        .flat_map(|run| {
            let (digits, rest) = run.split_at(run.trim_end_matches(|c: char| !c.is_ascii_hexdigit()).len());
            [
                if digits.len() < KEY_LIKE {
                    digits
                } else {
                    "(hidden)"
                },
                rest,
            ]
        })
        .collect()
}
