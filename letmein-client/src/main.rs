//! `letmein`: proves a key to a gate, which then opens a port for this machine's address.
//!
//! What was typed ([`cli`]) and what the configuration says ([`config`]) make a [`plan`]; [`exchange`] carries
//! it out.

mod cli;
mod config;
mod exchange;
mod plan;

use clap::Parser as _;
use cli::{Cli, Command};
use exchange::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (operation, knock) = match &cli.command {
        Command::Knock(knock) => (letmein_common::wire::challenge::Operation::Knock, knock),
        Command::Revoke(knock) => (letmein_common::wire::challenge::Operation::Revoke, knock),
        Command::GenKey => return gen_key(),
    };
    let plan = match plan::Plan::new(&cli, operation, knock) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("letmein: {error:#}");
            return ExitCode::from(2);
        }
    };
    match exchange::run(&plan) {
        Ok(()) => {
            println!("{}", plan.done());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("letmein: {failure}");
            ExitCode::from(match failure {
                Failure::Refused => 1,
                Failure::NoAnswer { .. } => 3,
                Failure::Network { .. } => 4,
            })
        }
    }
}

/// Prints a fresh key.
fn gen_key() -> ExitCode {
    let mut key = zeroize::Zeroizing::new([0_u8; letmein_common::hmac::KEY_LEN]);
    if let Err(error) = getrandom::fill(&mut *key) {
        eprintln!("letmein: the system gives no random numbers: {error}");
        return ExitCode::FAILURE;
    }
    for byte in key.iter() {
        print!("{byte:02x}");
    }
    println!();
    ExitCode::SUCCESS
}
