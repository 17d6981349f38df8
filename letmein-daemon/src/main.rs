//! The command line of `letmeind`.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use letmein_daemon::{
    config::{Config, DEFAULT_PATH},
    core_dumps,
    firewall::{self, Firewall},
    instance::Instance,
    server, trial,
};
use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

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
        /// Put everything back after this time, such as 60s, unless `letmeind confirm` is run before.
        #[arg(long, value_name = "TIME", value_parser = trial::parse_time)]
        confirm: Option<Duration>,
    },
    /// Close the protected ports as `run` does, but serve nobody.
    Up {
        /// The configuration file.
        #[arg(short, long, default_value = DEFAULT_PATH)]
        config: PathBuf,
        /// Wait this long, such as 60s, for `letmeind confirm`, and otherwise put everything back.
        #[arg(long, value_name = "TIME", value_parser = trial::parse_time)]
        confirm: Option<Duration>,
    },
    /// Keep the rules that an `up` or `run` with `--confirm` waits to put back.
    Confirm,
    /// Print the rules that `up` and `run` would load, and change nothing.
    Rules {
        /// The configuration file.
        #[arg(short, long, default_value = DEFAULT_PATH)]
        config: PathBuf,
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
        // A log that nobody takes, such as that of a terminal which has gone, is no reason to end: that would be a panic.
        .log_internal_errors(false)
        .init();
    match core_dumps::switch_off().and_then(|()| run(Cli::parse().command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run {
            config,
            interface,
            confirm,
        } => server::run(Config::load_for(&config, &interface)?, confirm),
        Command::Up { config, confirm } => server::up(&Config::load(&config)?, confirm),
        Command::Confirm => {
            trial::confirm()?;
            println!("confirmed");
            Ok(())
        }
        Command::Rules { config } => {
            let rules = firewall::preview(&Config::load(&config)?.firewall_plan())?;
            io::stdout().write_all(rules.as_bytes())?;
            Ok(())
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
