//! The command line of `letmeind`.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use letmein_daemon::{
    config::{Config, DEFAULT_PATH},
    firewall::Firewall,
    instance::Instance,
    server,
};
use std::{io, path::PathBuf, process::ExitCode};

/// Keeps ports closed, and opens them for who proves a key.
#[derive(Parser)]
#[command(name = "letmeind", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Close the protected ports and serve knocks until SIGTERM.
    Run {
        /// The configuration file.
        #[arg(short, long, default_value = DEFAULT_PATH)]
        config: PathBuf,
        /// Attach the XDP program here, and not where the configuration says. May be repeated.
        #[arg(short, long)]
        interface: Vec<String>,
    },
    /// Check a configuration and change nothing.
    Check {
        /// The configuration file.
        #[arg(default_value = DEFAULT_PATH)]
        config: PathBuf,
    },
    /// Remove every rule of ours from the firewall: ports are open again as far as we are concerned.
    Down {
        /// The configuration file.
        #[arg(short, long, default_value = DEFAULT_PATH)]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(false)
        .init();
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run { config, interface } => {
            let config = Config::load_for(&config, &interface)?;
            server::run(config)
        }
        Command::Check { config } => {
            let checked = Config::load(&config)?;
            for warning in checked.warnings() {
                tracing::warn!("{warning}");
            }
            println!("{}: good", config.display());
            Ok(())
        }
        Command::Down { config } => {
            let config = Config::load(&config)?;
            // One that runs would put everything back at once.
            let _only = Instance::claim()?;
            let found = Firewall::remove(&config.firewall_plan()).context("nothing was removed")?;
            println!(
                "{}",
                if found {
                    "removed"
                } else {
                    "there was nothing to remove"
                }
            );
            Ok(())
        }
    }
}
