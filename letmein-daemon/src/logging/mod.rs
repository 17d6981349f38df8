//! The log: lines of text or of JSON on standard error, or entries of systemd's journal with a field for each fact.
//!
//! A message says all there is for people; its fields are the same for programs, and no part of the text.

mod journald;
mod line;
mod record;
pub mod refusals;

pub use crate::config::LogFormat;

use journald::Journal;
use record::Record;
use std::{
    io::{self, Write as _},
    sync::OnceLock,
};
use tracing::{Event, Subscriber, level_filters::LevelFilter, warn};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    util::{SubscriberInitExt as _, TryInitError},
};

/// Where it goes instead of being text on standard error.
static INSTEAD: OnceLock<Instead> = OnceLock::new();

enum Instead {
    Json,
    Journal(Journal),
}

/// Everything from now on is in the log: text, until somebody [knows better](switch_to).
pub fn begin() -> Result<(), TryInitError> {
    tracing_subscriber::registry()
        .with(Log)
        .with(LevelFilter::INFO)
        .try_init()
}

/// From now on, for good. Has to come before the sandbox: within it, no socket can be had.
pub fn switch_to(format: LogFormat) {
    let instead = match format {
        LogFormat::Text => return,
        LogFormat::Json => Instead::Json,
        LogFormat::Journald => match Journal::connect() {
            Ok(journal) => Instead::Journal(journal),
            Err(error) => {
                warn!("no journal at {} ({error}): the log is text", journald::SOCKET);
                return;
            }
        },
    };
    // Who switches twice had the first one in mind.
    let _first = INSTEAD.set(instead);
}

struct Log;

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let record = Record::of(event);
        let line = match INSTEAD.get() {
            Some(Instead::Json) => line::json(&record),
            // Of what the journal does not take, the text is better than nothing.
            Some(Instead::Journal(journal)) if journal.take(&record).is_ok() => return,
            Some(Instead::Journal(_)) | None => line::text(&record),
        };
        // A log that nobody takes, such as that of a terminal which has gone, is no reason to end. In one piece, as the
        // other process writes there, too.
        let _nobody = io::stderr().lock().write_all(line.as_bytes());
    }
}
