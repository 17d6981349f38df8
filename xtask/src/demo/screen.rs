//! What the demonstration prints.

use anyhow::{anyhow, bail};
use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal as _, Stdout, Write as _},
    time::Instant,
};

/// Standard output. Writing fails, rather than panics, when nobody reads it any more.
pub struct Screen {
    out: Stdout,
    colour: bool,
    steps: u32,
    checks: u32,
    started: Instant,
}

const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "1;31";
/// Lines stand under the text of the results.
const INDENT: &str = "         ";

impl Screen {
    pub fn new() -> Self {
        let out = io::stdout();
        let colour = out.is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            out,
            colour,
            steps: 0,
            checks: 0,
            started: Instant::now(),
        }
    }

    /// The heading of a step.
    pub fn step(&mut self, title: &str) -> anyhow::Result<()> {
        self.steps += 1;
        let heading = self.paint(BOLD, &format!("{}. {title}", self.steps));
        self.line(&format!("\n{heading}"))
    }

    /// A line that is not a result.
    pub fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.line(&format!("{INDENT}{text}"))
    }

    /// A line from the left edge.
    pub fn note(&mut self, text: &str) -> anyhow::Result<()> {
        self.line(text)
    }

    /// An observation, and what it has to be.
    pub fn check<T: Copy + Display + PartialEq>(
        &mut self,
        what: &str,
        seen: T,
        expected: T,
    ) -> anyhow::Result<()> {
        self.ensure(what, &seen.to_string(), seen == expected, &expected.to_string())
    }

    /// An observation that is `good` or not, and in words what is expected.
    pub fn ensure(&mut self, what: &str, seen: &str, good: bool, expected: &str) -> anyhow::Result<()> {
        self.checks += 1;
        if good {
            let ok = self.paint(GREEN, "ok");
            return self.line(&format!("   {ok}    {what}: {seen}"));
        }
        let fail = self.paint(RED, "FAIL");
        self.line(&format!("   {fail}  {what}: {seen}"))?;
        self.say(&format!("expected: {expected}"))?;
        bail!("step {}: {what}: {seen}; expected: {expected}", self.steps)
    }

    /// The last lines of letmeind's log.
    pub fn log(&mut self, text: &str) -> anyhow::Result<()> {
        const LINES: usize = 10;
        let skipped = text.lines().count().saturating_sub(LINES);
        self.line("\nThe end of letmeind's log:")?;
        text.lines()
            .skip(skipped)
            .try_for_each(|line| self.line(&format!("   {line}")))
    }

    /// The last line of all.
    pub fn end(&mut self) -> anyhow::Result<()> {
        let (checks, seconds) = (self.checks, self.started.elapsed().as_secs());
        self.line(&format!(
            "\nAll {checks} observations are as they should be. Took {seconds} s; everything is removed."
        ))
    }

    fn line(&mut self, text: &str) -> anyhow::Result<()> {
        writeln!(self.out, "{text}").map_err(|error| anyhow!("cannot write to standard output: {error}"))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
