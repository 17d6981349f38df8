//! `letmein`: proves a key to a gate, which then opens a port for this machine's address.
//!
//! What was typed ([`cli`]) and what the configuration says ([`config`]) make a [`plan`]; [`exchange`] carries
//! it out.

mod cli;
mod config;
#[cfg(test)]
mod documents;
mod exchange;
mod gen_key;
mod plan;
mod secret;

use clap::Parser as _;
use cli::{Cli, Command, Knock};
use letmein_common::wire::challenge::Operation;
use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

/// Usage or configuration; what clap exits with, too.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        Command::Knock(knock) => carry_out(&cli, Operation::Knock, knock),
        Command::Revoke(knock) => carry_out(&cli, Operation::Revoke, knock),
        Command::GenKey(options) => match gen_key::run(options) {
            Ok(text) => print(&text),
            Err(error) => fail(USAGE, format_args!("{error:#}")),
        },
    }
}

fn carry_out(cli: &Cli, operation: Operation, knock: &Knock) -> ExitCode {
    let plan = match plan::Plan::new(cli, operation, knock) {
        Ok(plan) => Arc::new(plan),
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    match exchange::run(&plan) {
        Ok(took) => print(&format!("{}\n", plan.done(took))),
        Err(failures) => {
            let code = exchange::exit_code(&failures);
            for failure in &failures {
                fail(code, failure);
            }
            ExitCode::from(code)
        }
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

fn fail(code: u8, error: impl Display) -> ExitCode {
    eprintln!("letmein: {}", secret::hide_keys(&error.to_string()));
    ExitCode::from(code)
}
