//! `letmein proxy`: knocks if need be, connects, and relays. OpenSSH starts it as its `ProxyCommand`.

mod relay;

use crate::{
    USAGE,
    cli::{Cli, Proxy},
    config::DEFAULT_WAIT,
    exchange::{self, Failure},
    fail, fail_all,
    plan::{Book, Families, Plan, What},
};
use letmein_common::wire::challenge::Operation;
use std::{net::TcpStream, process::ExitCode, sync::Arc};

/// A connection that was lost, or an end of the relay that cannot be used any more.
const LOST: u8 = 4;

pub fn run(cli: &Cli, options: &Proxy) -> ExitCode {
    let plan = match plan(cli, options) {
        Ok(plan) => plan,
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    let connected = match plan {
        Some(plan) => through_the_gate(plan, options),
        None => directly(cli, options).map_err(|failure| vec![failure]),
    };
    match connected.map(|stream| relay::run(&stream)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(LOST, format_args!("the connection to {}: {error}", options.host)),
        Err(failures) => fail_all(&failures),
    }
}

/// The knock, if the configuration has this host, and a resource with this port.
fn plan(cli: &Cli, options: &Proxy) -> anyhow::Result<Option<Plan>> {
    let book = Book::read(cli.config.as_deref())?;
    let what = match &options.resource {
        Some(wanted) => What::IdOrName(wanted.clone()),
        None if !book.has(&options.host) => return Ok(None),
        None => {
            let (_, server) = book.server(&options.host, options.how.user)?;
            let mut ports = server.resources.values().filter_map(|resource| resource.port);
            if !ports.any(|port| port == options.port) {
                return Ok(None);
            }
            What::Port(options.port)
        }
    };
    let plan = Plan::new(
        &book,
        Operation::Knock,
        &options.host,
        &what,
        &options.how,
        cli.verbose,
    )?;
    Ok(Some(plan))
}

fn through_the_gate(mut plan: Plan, options: &Proxy) -> Result<TcpStream, Vec<Failure>> {
    // The connection that is waited for is the one that is used.
    let wait = plan.wait.take().map_or(DEFAULT_WAIT, |wait| wait.duration);
    exchange::through_the_gate(&Arc::new(plan), options.port, wait)
}

fn directly(cli: &Cli, options: &Proxy) -> Result<TcpStream, Failure> {
    if cli.verbose {
        eprintln!(
            "letmein: no section has the host {} with port {}: no knock",
            options.host, options.port
        );
    }
    let limit = options.how.wait.unwrap_or(DEFAULT_WAIT);
    exchange::directly(&options.host, options.port, Families::of(&options.how), limit)
}
