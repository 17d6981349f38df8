//! Durations as the configuration writes them: `5s`, `500ms`.

use jiff::SignedDuration;
use std::{ops::RangeInclusive, time::Duration};

/// The longest that an exchange may be given.
const LONGEST: Duration = Duration::from_mins(10);
/// What a knock may ask for, in whole seconds; a gate has limits of its own.
const LEASE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(365 * 24);

/// Reads a time to wait: more than 0 and at most [`LONGEST`].
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    with_unit(text)?
        .filter(|duration| !duration.is_zero() && *duration <= LONGEST)
        .ok_or_else(|| format!("{text:?} is out of bounds; this may be more than 0 and at most 10m"))
}

/// Reads the lease that a knock asks for, in seconds.
pub(super) fn lease(text: &str) -> Result<u32, String> {
    with_unit(text)?
        .filter(|duration| LEASE.contains(duration) && duration.subsec_nanos() == 0)
        .and_then(|duration| u32::try_from(duration.as_secs()).ok())
        .ok_or_else(|| format!("{text:?} is out of bounds; this may be whole seconds, from 1s to 8760h"))
}

/// `None` for one that is negative.
fn with_unit(text: &str) -> Result<Option<Duration>, String> {
    let Ok(duration) = text.parse::<SignedDuration>() else {
        let digits = text.trim();
        let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        return Err(if number {
            format!("{text:?} lacks a unit; write \"{digits}s\" if you mean seconds")
        } else {
            format!("{text:?} is no duration; write it as \"5s\", \"500ms\" or \"1m30s\"")
        });
    };
    Ok(Duration::try_from(duration).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood() {
        for (text, millis) in [
            ("5s", 5000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("10m", 600_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_lease_is_in_whole_seconds() {
        assert_eq!(lease("90m"), Ok(5400));
        for text in ["0s", "1500ms", "-1m", "8761h"] {
            assert!(lease(text).unwrap_err().contains("from 1s to 8760h"), "{text}");
        }
        assert!(lease("60").unwrap_err().contains("write \"60s\""));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_hint() {
        for (text, hint) in [
            ("10", "write \"10s\" if you mean seconds"),
            ("", "is no duration"),
            ("soon", "is no duration"),
            ("0s", "more than 0 and at most 10m"),
            ("-5s", "more than 0 and at most 10m"),
            ("10m1ms", "more than 0 and at most 10m"),
            ("99999999999999999999h", "is no duration"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
