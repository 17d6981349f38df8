//! Running the `nft` program, with its JSON on standard input, or with its own language.
//!
//! The `nftables` crate gives the JSON its types. Its own helper is not used to run nft: that one leaves
//! standard error to the terminal, so the reason of a refusal would be lost.

use std::io::{self, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use nftables::batch::Batch;

use super::error::FirewallError;
use super::listing::Listing;

/// Where nft is: in PATH, or where distributions put it when PATH lacks the `sbin` directories, as after a
/// plain `su`.
const PROGRAMS: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];

/// Carries out a batch in one transaction.
pub(super) fn apply(batch: Batch<'_>, doing: &'static str) -> Result<(), FirewallError> {
    let output = run(batch, doing)?;
    if output.status.success() {
        Ok(())
    } else {
        Err(refusal(&output, doing))
    }
}

/// Carries out commands in nft's own language in one transaction, and returns what it prints.
pub(super) fn script(options: &[&str], commands: &str, doing: &'static str) -> Result<String, FirewallError> {
    let arguments = [options, &["--file", "-"]].concat();
    let output = run_first(&PROGRAMS, &arguments, commands.as_bytes())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(refusal(&output, doing))
    }
}

/// What a table of family `inet` holds, without the elements of its sets; `None` if there is no such table.
///
/// All tables of the family are listed, because of one table alone nft 1.0.6 reads every element, even if told not to
/// show any. With very many leases that takes minutes.
pub(super) fn list(table: &str) -> Result<Option<Listing>, FirewallError> {
    let doing = "listing the ruleset";
    let output = run_first(&PROGRAMS, &["--json", "--terse", "list", "ruleset", "inet"], b"")?;
    if !output.status.success() {
        return Err(refusal(&output, doing));
    }
    Listing::parse(&output.stdout, table).map_err(|error| FirewallError::Nft {
        doing,
        message: format!("its JSON could not be read: {error}"),
    })
}

fn run(batch: Batch<'_>, doing: &'static str) -> Result<Output, FirewallError> {
    let input = serde_json::to_vec(&batch.to_nftables()).map_err(|error| FirewallError::Nft {
        doing,
        message: error.to_string(),
    })?;
    run_first(&PROGRAMS, &["--json", "--file", "-"], &input)
}

/// Runs the first of these programs that is there.
fn run_first(programs: &[&str], arguments: &[&str], input: &[u8]) -> Result<Output, FirewallError> {
    for program in programs {
        match run_program(program, arguments, input) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => return outcome.map_err(FirewallError::NftNotRun),
        }
    }
    Err(FirewallError::NftMissing)
}

fn run_program(program: &str, arguments: &[&str], input: &[u8]) -> io::Result<Output> {
    let mut nft = Command::new(program)
        .args(arguments)
        // Its messages are told apart by their English text.
        .env("LC_ALL", "C")
        // What the terminal sends (Ctrl-C) is for us, who may have to put something right; a transaction goes on.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = nft.stdin.take() {
        match stdin.write_all(input) {
            // It ended before it read all: its exit status and standard error tell why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            outcome => outcome?,
        }
    }
    nft.wait_with_output()
}

fn refusal(output: &Output, doing: &'static str) -> FirewallError {
    let message = String::from_utf8_lossy(&output.stderr);
    if message.contains("Operation not permitted") {
        return FirewallError::NoPrivilege;
    }
    let message = match message.trim() {
        "" => output.status.to_string(),
        text => text.to_owned(),
    };
    FirewallError::Nft { doing, message }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn failed(stderr: &str) -> FirewallError {
        let output = Output {
            status: ExitStatus::from_raw(256),
            stdout: vec![],
            stderr: stderr.as_bytes().to_vec(),
        };
        refusal(&output, "testing")
    }

    #[test]
    fn the_first_program_that_is_there_is_run() {
        let missing = run_first(&["/nowhere/nft"], &[], b"");
        assert!(matches!(missing, Err(FirewallError::NftMissing)), "{missing:?}");
        // `true` neither reads its input nor complains: a full pipe that breaks is no error either.
        let output = run_first(&["/nowhere/nft", "true"], &[], &vec![0; 1 << 20]).unwrap();
        assert!(output.status.success());
    }

    #[test]
    fn a_refusal_says_why() {
        assert!(matches!(
            failed("Operation not permitted (you must be root)\n"),
            FirewallError::NoPrivilege
        ));
        assert_eq!(
            failed("Error: no\n").to_string(),
            "nft failed while testing: Error: no"
        );
        assert_eq!(failed("").to_string(), "nft failed while testing: exit status: 1");
    }
}
