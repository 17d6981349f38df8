//! `letmein knock` and `letmein revoke`.

use crate::{
    USAGE,
    cli::{Cli, Knock},
    exchange, fail, fail_all,
    plan::{Book, Plan, What},
    print,
};
use anyhow::bail;
use letmein_common::wire::challenge::Operation;
use std::{process::ExitCode, sync::Arc};

pub fn run(cli: &Cli, operation: Operation, options: &Knock) -> ExitCode {
    let plan = match plan(cli, operation, options) {
        Ok(plan) => Arc::new(plan),
        Err(error) => return fail(USAGE, format_args!("{error:#}")),
    };
    match exchange::run(&plan) {
        Ok(took) => print(&format!("{}\n", plan.done(took))),
        Err(failures) => fail_all(&failures),
    }
}

fn plan(cli: &Cli, operation: Operation, options: &Knock) -> anyhow::Result<Plan> {
    let book = Book::read(cli.config.as_deref())?;
    let what = match (&options.resource, &options.wanted) {
        (Some(wanted), _) => What::IdOrName(wanted.clone()),
        (None, Some(wanted)) => What::Wanted(wanted.clone()),
        (None, None) => bail!("name what to open: a port, a name, or an id with -r"),
    };
    Plan::new(&book, operation, &options.host, &what, &options.how, cli.verbose)
}
