//! The log's regular report.

use letmein_common::reason::{Counters, Reason};
use std::{fmt::Write as _, time::Duration};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How often the log says what was refused, if anything was.
const REPORT_EVERY: Duration = Duration::from_mins(1);

/// Ticks when a report is due.
pub(super) fn report_clock() -> Interval {
    let mut clock = interval_at(Instant::now() + REPORT_EVERY, REPORT_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}

/// `counters genuine=2 auth=7`: how many control datagrams were let through, and why others were not.
pub(super) fn counters_line(counters: &Counters) -> String {
    let mut line = format!("counters genuine={}", counters.genuine);
    for reason in Reason::ALL {
        let count = counters.of(*reason);
        if count > 0 {
            // Writing to a string does not fail.
            let _infallible = write!(line, " {}={count}", reason.name());
        }
    }
    line
}
