//! Durations as the configuration writes them: `5s`, `500ms`.

use jiff::SignedDuration;
use std::time::Duration;

/// The longest that an exchange may be given.
const LONGEST: Duration = Duration::from_mins(10);

/// Reads a duration with units that is more than 0 and at most [`LONGEST`].
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let Ok(duration) = text.parse::<SignedDuration>() else {
        let digits = text.trim();
        let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        return Err(if number {
            format!("{text:?} lacks a unit; write \"{digits}s\" if you mean seconds")
        } else {
            format!("{text:?} is no duration; write it as \"5s\", \"500ms\" or \"1m30s\"")
        });
    };
    Duration::try_from(duration)
        .ok()
        .filter(|duration| !duration.is_zero() && *duration <= LONGEST)
        .ok_or_else(|| format!("{text:?} is out of bounds; this may be more than 0 and at most 10m"))
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
