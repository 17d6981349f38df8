//! `letmein knock` and `letmein revoke`: one resource or several, all at once.

use crate::{
    USAGE,
    cli::{Cli, Knock},
    exchange::{self, Failure},
    fail,
    plan::{self, Book, Plan},
    print, print_json, secret,
};
use letmein_common::wire::challenge::Operation;
use serde::Serialize;
use std::{process::ExitCode, sync::Arc, thread, time::Duration};

type Outcome = Result<Duration, Vec<Failure>>;

pub fn run(cli: &Cli, operation: Operation, options: &Knock) -> ExitCode {
    let plans = match plans(cli, operation, options) {
        Ok(plans) => plans,
        Err(error) => {
            let code = fail(USAGE, format_args!("{error:#}"));
            if options.json {
                print_json(&Report::new(
                    operation,
                    USAGE,
                    Some(format!("{error:#}")),
                    Vec::new(),
                ));
            }
            return code;
        }
    };
    let outcomes = carry_out(&plans);
    // Of one resource the failure that came furthest counts; of several resources, the worst.
    let worst = outcomes.iter().map(code).max().unwrap_or_default();
    let mut unwritten = ExitCode::SUCCESS;
    for (plan, outcome) in plans.iter().zip(&outcomes) {
        match outcome {
            Ok(took) if !options.json => unwritten = print(&format!("{}\n", plan.done(*took))),
            Ok(_) => {}
            Err(failures) if plans.len() > 1 => {
                for failure in failures {
                    fail(worst, format_args!("{} on {}: {failure}", plan.wanted, plan.host));
                }
            }
            Err(failures) => _ = crate::fail_all(failures),
        }
    }
    if options.json {
        let resources = plans.iter().zip(&outcomes).map(Resource::new).collect();
        unwritten = print_json(&Report::new(operation, worst, None, resources));
    }
    if worst == 0 {
        unwritten
    } else {
        ExitCode::from(worst)
    }
}

/// All of them, or none: nothing is sent if one of them makes no sense.
fn plans(cli: &Cli, operation: Operation, options: &Knock) -> anyhow::Result<Vec<Arc<Plan>>> {
    let book = Book::read(cli.config.as_deref())?;
    let targets = plan::targets(&book, &options.host, &options.wanted, options.resource.as_deref())?;
    let plans = targets
        .iter()
        .map(|(host, what)| Plan::new(&book, operation, host, what, &options.how, cli.verbose).map(Arc::new));
    plans.collect()
}

fn carry_out(plans: &[Arc<Plan>]) -> Vec<Outcome> {
    // A thread takes longer to start than a datagram to send.
    if let [only] = plans {
        return vec![exchange::run(only)];
    }
    thread::scope(|scope| {
        let running: Vec<_> = plans
            .iter()
            .map(|plan| scope.spawn(move || exchange::run(plan)))
            .collect();
        // A thread that panics ends the process before this.
        let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|ended| ended.unwrap_or_else(|_| Err(Vec::new())))
            .collect()
    })
}

fn code(outcome: &Outcome) -> u8 {
    match outcome {
        Ok(_) => 0,
        Err(failures) => exchange::exit_code(failures),
    }
}

/// What `--json` tells.
#[derive(Serialize)]
struct Report {
    version: u32,
    command: &'static str,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    resources: Vec<Resource>,
}

#[derive(Serialize)]
struct Resource {
    host: String,
    name: String,
    id: String,
    /// `open`, `closed`, `sent` or `failed`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<u128>,
    failures: Vec<Told>,
}

#[derive(Serialize)]
struct Told {
    exit_code: u8,
    message: String,
}

impl Report {
    fn new(operation: Operation, exit_code: u8, error: Option<String>, resources: Vec<Resource>) -> Self {
        Self {
            version: crate::JSON_VERSION,
            command: match operation {
                Operation::Revoke => "revoke",
                _ => "knock",
            },
            exit_code,
            error: error.map(|error| secret::hide_keys(&error)),
            resources,
        }
    }
}

impl Resource {
    fn new((plan, outcome): (&Arc<Plan>, &Outcome)) -> Self {
        let failures = outcome.as_ref().err().map_or(&[][..], Vec::as_slice);
        Self {
            host: plan.host.clone(),
            name: plan.wanted.clone(),
            id: plan.resource.to_string(),
            state: outcome.as_ref().map_or("failed", |_| plan.state()),
            milliseconds: outcome.as_ref().ok().map(Duration::as_millis),
            failures: failures
                .iter()
                .map(|failure| Told {
                    exit_code: failure.exit_code(),
                    message: secret::hide_keys(&failure.to_string()),
                })
                .collect(),
        }
    }
}
