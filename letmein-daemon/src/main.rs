//! The command line of `letmeind`.

mod manual;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use letmein_daemon::{
    config::{Config, DEFAULT_PATH},
    core_dumps, elsewhere,
    firewall::{self, Firewall},
    gatekeeper, import,
    instance::Instance,
    logging::{self, LogFormat},
    operator::{self, DEFAULT_SOCKET},
    sandbox::{Account, Seccomp},
    server, trial, user, warden, xdp,
};
use std::{
    io::{self, Write as _},
    net::IpAddr,
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
    /// Be the process that talks to the network: `run` starts it, and nobody else should.
    #[command(name = warden::COMMAND, hide = true)]
    Gatekeeper {
        /// The user to become.
        #[arg(long)]
        user: u32,
        /// The group to become.
        #[arg(long)]
        group: u32,
        /// What happens at a system call that it should not need.
        #[arg(long)]
        seccomp: Seccomp,
        /// What the log looks like.
        #[arg(long)]
        log_format: LogFormat,
    },
    /// Add, list, show, rotate or remove users.
    User {
        /// The configuration file.
        #[arg(short, long, global = true, default_value = DEFAULT_PATH)]
        config: PathBuf,
        /// What to do.
        #[command(subcommand)]
        what: user::What,
    },
    /// Turn letmein 12's letmeind.conf into a configuration of ours.
    Import {
        /// The other file.
        file: PathBuf,
        /// An interface whose packets the XDP program shall check. May be repeated.
        #[arg(short, long)]
        interface: Vec<String>,
        /// Write it to this new file, for its owner only, instead of printing it.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Remove every rule of ours from the firewall, and the XDP program: ports are open again as far as we are concerned.
    Down {
        /// The configuration file.
        #[arg(short, long, default_value = DEFAULT_PATH)]
        config: PathBuf,
    },
    /// How the gate that runs is: interfaces, leases, packets genuine and refused.
    Status {
        #[command(flatten)]
        running: Running,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Who may come in now, where to, and how long still.
    Leases {
        #[command(flatten)]
        running: Running,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Watch the gate on a screen: packets, reasons, sources, leases, knocks. "q" quits.
    Top {
        #[command(flatten)]
        running: Running,
    },
    /// Close leases before their time.
    Revoke {
        #[command(flatten)]
        running: Running,
        /// Whose: an address, a user's name, or "all".
        #[arg(value_name = "ADDRESS|USER|all")]
        whose: String,
    },
    /// Open a resource for somebody who has not knocked.
    Open {
        #[command(flatten)]
        running: Running,
        /// The resource's name.
        resource: String,
        /// For whom.
        address: IpAddr,
        /// For how long, such as 10m, instead of the resource's own time.
        #[arg(long = "for", value_name = "TIME", value_parser = operator::open::parse_time)]
        time: Option<Duration>,
    },
    /// Have the letmeind that runs read its configuration again, and tell what came of it.
    Reload {
        #[command(flatten)]
        running: Running,
    },
    /// Print completions for a shell.
    #[command(hide = true)]
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Print the manual page.
    #[command(hide = true)]
    Man,
}

impl Command {
    /// Whether what it says is for a log, and not for somebody who waits for it.
    const fn logs(&self) -> bool {
        matches!(self, Self::Run { .. } | Self::Up { .. } | Self::Gatekeeper { .. })
    }
}

/// Which letmeind that runs.
#[derive(Args)]
struct Running {
    /// Its socket: operator.socket in its configuration.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

fn main() -> ExitCode {
    if logging::begin().is_err() {
        eprintln!("letmeind: there is a log already");
        return ExitCode::FAILURE;
    }
    let command = Cli::parse().command;
    let logs = command.logs();
    match core_dumps::switch_off().and_then(|()| run(command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if logs => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
        Err(error) => {
            // That nobody reads it is no reason to end otherwise.
            let _nobody = writeln!(io::stderr(), "letmeind: {error:#}");
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
        Command::Completions { shell } => {
            let script = manual::completions(Cli::command(), shell);
            Ok(io::stdout().write_all(script.as_bytes())?)
        }
        Command::Man => Ok(io::stdout().write_all(manual::page(Cli::command())?.as_bytes())?),
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
                eprintln!("letmeind: warning: {warning}");
            }
            // It may be checked on another machine than the one that it is for.
            if let Err(error) = Account::find(&checked.daemon.user) {
                tracing::warn!("letmeind would not start here: {error:#}");
            }
            match elsewhere::warnings(&checked) {
                Ok(warnings) => warnings.iter().for_each(|warning| tracing::warn!("{warning}")),
                Err(error) => tracing::warn!("{:#}", anyhow::Error::from(error)),
            }
            println!("{}: good", config.display());
            Ok(())
        }
        Command::Status { running, json } => operator::status::run(&running.socket, json),
        Command::Leases { running, json } => operator::leases::run(&running.socket, json),
        Command::Top { running } => operator::top::run(&running.socket),
        Command::Revoke { running, whose } => operator::revoke::run(&running.socket, whose),
        Command::Open {
            running,
            resource,
            address,
            time,
        } => operator::open::run(&running.socket, &resource, address, time),
        Command::Reload { running } => operator::reload::run(&running.socket),
        Command::Gatekeeper {
            user,
            group,
            seccomp,
            log_format,
        } => gatekeeper::run(user, group, seccomp, log_format),
        Command::Import {
            file,
            interface,
            output,
        } => import::run(&file, &interface, output.as_deref()),
        Command::User { config, what } => user::run(&config, &what),
        Command::Down { config } => {
            let config = Config::load(&config)?;
            // One that runs would put everything back at once.
            let _only = Instance::claim()?;
            let rules = Firewall::remove(&config.firewall_plan()).context("nothing was removed")?;
            let program = xdp::remove(&config.gate.pin_directory).context("only the rules were removed")?;
            let found = rules || program;
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
