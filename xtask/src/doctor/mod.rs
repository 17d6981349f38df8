//! What this machine has and lacks for the gate: one line for each thing, with what to do.

mod bpf;
mod drivers;
mod firewall;
mod interfaces;
mod kernel;
mod toolchain;

use anyhow::bail;
use std::{
    fmt::{self, Display},
    fs,
    io::{self, Write as _},
};

/// What was found out about one thing.
#[derive(Debug)]
struct Finding {
    level: Level,
    what: String,
    found: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    /// Something works less well, or only some verb of `cargo xtask` does not work.
    Warn,
    /// The gate does not work.
    Fail,
}

impl Finding {
    fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Level::Ok, what, found)
    }

    /// `found` ends with what to do.
    fn warn(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Level::Warn, what, found)
    }

    /// `found` ends with what to do.
    fn fail(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Level::Fail, what, found)
    }

    fn new(level: Level, what: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            level,
            what: what.into(),
            found: found.into(),
        }
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        write!(f, "{level:<4}  {:<18}  {}", self.what, self.found)
    }
}

/// Prints all findings; fails if one of them is that bad.
pub fn run() -> anyhow::Result<()> {
    let kernel = kernel::release();
    let findings = [
        kernel::check(kernel.as_deref()),
        bpf::check(),
        firewall::check(),
        interfaces::check(kernel.as_deref().and_then(kernel::version)),
        toolchain::check(),
    ];
    let mut out = io::stdout();
    let mut failed = 0;
    for finding in findings.into_iter().flatten() {
        failed += usize::from(finding.level == Level::Fail);
        writeln!(out, "{finding}")?;
    }
    match failed {
        0 => Ok(()),
        1 => bail!("one thing the gate needs is missing: see FAIL above"),
        _ => bail!("{failed} things the gate needs are missing: see FAIL above"),
    }
}

/// A file of the kernel's, without the line end.
fn read(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim_end().to_owned())
}

/// Whether this process is root's.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The first numbers of a version, such as `(6, 18)` of `6.18.44-amd64`.
fn major_minor(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    Some((major, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Finding, major_minor};

    #[test]
    fn versions_are_read() {
        assert_eq!(major_minor("6.18.44-fc-v782"), Some((6, 18)));
        assert_eq!(major_minor("5.15-rc3"), Some((5, 15)));
        assert_eq!(major_minor("1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        for text in ["", "6", "v6.1", "next"] {
            assert_eq!(major_minor(text), None, "{text:?}");
        }
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(major_minor("6.1.0") > major_minor("5.18.0"));
        assert!(major_minor("5.18.0") > major_minor("5.4.0"));
    }

    #[test]
    fn a_finding_is_one_aligned_line() {
        let line = Finding::fail("nft", "not installed").to_string();
        assert_eq!(line, "FAIL  nft                 not installed");
        assert_eq!(
            Finding::ok("root", "yes").to_string(),
            "ok    root                yes"
        );
    }
}
