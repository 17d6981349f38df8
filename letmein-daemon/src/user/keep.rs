//! Times that a key is still good for, and the moments when they end.

use crate::config::duration;
use jiff::{Timestamp, Unit};
use std::{
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

const ALLOWED: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(10 * 365 * 24);

/// Reads a time as in the configuration, or whole days of 24 hours each.
pub fn parse(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let hours = days.map(|days| format!("{}h", u64::from(days) * 24));
    duration::parse(hours.as_deref().unwrap_or(text), &ALLOWED)
}

/// A moment as the configuration writes it.
pub fn moment(at: SystemTime) -> String {
    Timestamp::try_from(at)
        .and_then(|at| at.round(Unit::Second))
        .unwrap_or(Timestamp::MAX)
        .to_string()
}
