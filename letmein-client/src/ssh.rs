//! `letmein ssh`: knocks, and then there is `ssh` in this process's place.

use crate::{
    USAGE,
    cli::{Cli, Ssh},
    config::DEFAULT_WAIT,
    exchange, fail, fail_all,
    plan::{Book, Families, Plan, Wait, What},
};
use anyhow::{Context as _, bail};
use letmein_common::wire::challenge::Operation;
use std::{
    io,
    process::{Command, ExitCode},
    sync::Arc,
};

/// SSH's own port, for a resource whose port the configuration does not have.
const PORT: u16 = 22;
/// What a shell ends with when there is no such program. `ssh` itself ends with 255.
const NO_PROGRAM: u8 = 127;

pub fn run(cli: &Cli, options: &Ssh) -> ExitCode {
    let (plan, ssh) = match prepare(cli, options) {
        Ok((plan, ssh)) => (Arc::new(plan), ssh),
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    if let Err(failures) = exchange::run(&plan) {
        return fail_all(&failures);
    }
    plan.say(format_args!("running {ssh:?}"));
    let Err(error) = become_ssh(ssh) else {
        return ExitCode::SUCCESS;
    };
    fail(
        NO_PROGRAM,
        format_args!("cannot run ssh: {error}. It is OpenSSH's client: is it installed, and in PATH?"),
    )
}

/// The knock, and what to run after it.
fn prepare(cli: &Cli, options: &Ssh) -> anyhow::Result<(Plan, Command)> {
    let book = Book::read(cli.config.as_deref())?;
    let Some((destination, arguments)) = options.words.split_first() else {
        bail!("name the host to log in to");
    };
    let destination = destination.to_str().context("the host's name is not UTF-8")?;
    // As ssh does it: a login may have an @ in it, a host may not.
    let (login, server) = match destination.rsplit_once('@') {
        Some((login, server)) => (Some(login), server),
        None => (None, destination),
    };
    let what = match &options.resource {
        Some(wanted) => What::IdOrName(wanted.clone()),
        None => What::Ssh,
    };
    let mut plan = Plan::new(&book, Operation::Knock, server, &what, &options.how, cli.verbose)?;
    if plan.silent.is_some() && plan.wait.is_none() {
        // Otherwise ssh could be there before the knock has done its work.
        plan.wait = Some(Wait {
            port: plan.service.unwrap_or(PORT),
            duration: DEFAULT_WAIT,
        });
    }
    let destination = match login {
        Some(login) => format!("{login}@{}", plan.host),
        None => plan.host.clone(),
    };
    if destination.starts_with('-') {
        bail!(
            "ssh would take {destination:?} for an option; give [servers.{server}] a host without the hyphen"
        );
    }
    let mut ssh = Command::new("ssh");
    match plan.families {
        Families::V4 => _ = ssh.arg("-4"),
        Families::V6 => _ = ssh.arg("-6"),
        Families::Any | Families::Both => {}
    }
    if let Some(port) = plan.service {
        ssh.args(["-p", &port.to_string()]);
    }
    ssh.arg(destination).args(arguments);
    Ok((plan, ssh))
}

/// Returns only if that fails.
#[cfg(unix)]
fn become_ssh(mut ssh: Command) -> io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    Err(ssh.exec())
}

/// There is no such thing here: waits for it, and ends as it does.
#[cfg(not(unix))]
fn become_ssh(mut ssh: Command) -> io::Result<()> {
    let status = ssh.status()?;
    std::process::exit(status.code().unwrap_or(255))
}
