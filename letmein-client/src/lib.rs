//! `letmein`: proves a key to a gate, which then opens a port for this machine's address.
//!
//! What was typed (`cli`) and what the configuration says (`config`) make a `plan`; `exchange` carries
//! it out.

mod cli;
mod config;
mod core_dumps;
#[cfg(test)]
mod documents;
mod enroll;
mod exchange;
#[doc(hidden)]
pub mod fuzzing;
mod gen_key;
mod import;
mod knock;
mod lazy;
mod manual;
mod plan;
mod proxy;
mod secret;
mod ssh;
mod status;

use clap::Parser as _;
use cli::{Cli, Command};
use exchange::Failure;
use lazy::Lazy;
use letmein_common::wire::challenge::Operation;
use serde::Serialize;
use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

/// That of what `--json` prints. It changes when something of it goes away or means something else.
const JSON_VERSION: u32 = 1;

/// Usage or configuration; what clap exits with, too.
const USAGE: u8 = 2;

/// The whole program.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = core_dumps::switch_off() {
        return fail(USAGE, format_args!("{error:#}"));
    }
    match &cli.command {
        Command::Knock(Lazy(options)) => knock::run(&cli, Operation::Knock, options),
        Command::Revoke(Lazy(options)) => knock::run(&cli, Operation::Revoke, options),
        Command::Status(Lazy(options)) => status::run(&cli, options),
        Command::Ssh(Lazy(options)) => ssh::run(&cli, options),
        Command::Proxy(Lazy(options)) => proxy::run(&cli, options),
        Command::GenKey(Lazy(options)) => match gen_key::run(options) {
            Ok(text) => print(&text),
            Err(error) => fail(USAGE, format_args!("{error:#}")),
        },
        Command::Enroll(Lazy(options)) => match enroll::run(&cli, options) {
            Ok(text) => print(&text),
            Err(error) => fail(USAGE, format_args!("{error:#}")),
        },
        Command::Import(Lazy(options)) => match import::run(options) {
            Ok(text) => print(&text),
            Err(error) => fail(USAGE, format_args!("{error:#}")),
        },
        Command::Completions { shell } => print(&manual::completions(*shell)),
        Command::Man => match manual::page() {
            Ok(page) => print(&page),
            Err(error) => fail(USAGE, format_args!("cannot make the manual page: {error}")),
        },
    }
}

/// Writes to standard output. A reader that has gone away is told of, not panicked about.
fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(USAGE, format_args!("cannot write to standard output: {error}")),
    }
}

/// One object, in one line.
fn print_json(report: &impl Serialize) -> ExitCode {
    match serde_json::to_string(report) {
        Ok(text) => print(&format!("{text}\n")),
        Err(error) => fail(USAGE, format_args!("cannot write JSON: {error}")),
    }
}

/// Tells every failure. Their exit code is that of the one that came furthest.
fn fail_all(failures: &[Failure]) -> ExitCode {
    let code = exchange::exit_code(failures);
    for failure in failures {
        fail(code, failure);
    }
    ExitCode::from(code)
}

fn fail(code: u8, error: impl Display) -> ExitCode {
    eprintln!("letmein: {}", secret::hide_keys(&error.to_string()));
    ExitCode::from(code)
}
