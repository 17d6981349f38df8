//! Durations as the configuration writes them: `10m`, `1h30m`.

use jiff::SignedDuration;
use std::{ops::RangeInclusive, time::Duration};

/// Reads a duration with units, the largest being the hour. Without a unit, below or above `allowed`: an error
/// text with the remedy.
pub fn parse(text: &str, allowed: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let duration = text
        .parse::<SignedDuration>()
        .map_err(|_foreign_words| unreadable(text))?;
    let bounds = || format!("from {} to {}", human(*allowed.start()), human(*allowed.end()));
    match Duration::try_from(duration) {
        Ok(duration) if allowed.contains(&duration) => Ok(duration),
        _ => Err(format!("{text:?} is out of bounds; this may be {}", bounds())),
    }
}

/// As the configuration would write it.
pub(super) fn human(duration: Duration) -> String {
    SignedDuration::try_from(duration)
        .map_or_else(
            |_too_long| format!("{}s", duration.as_secs()),
            |duration| format!("{duration:#}"),
        )
        .replace(' ', "")
}

fn unreadable(text: &str) -> String {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!(
            "{text:?} lacks a unit; write \"{text}s\" if you mean seconds, \"{text}m\" if minutes"
        );
    }
    match text
        .strip_suffix('d')
        .and_then(|days| days.trim().parse::<u32>().ok())
    {
        Some(days) => {
            format!(
                "{text:?}: days are not all of one length, so write hours: \"{}h\"",
                u64::from(days) * 24
            )
        }
        None => format!("{text:?} is no duration; write it as \"30s\", \"10m\" or \"1h30m\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

    #[test]
    fn units_are_understood() {
        for (text, seconds) in [
            ("5s", 5),
            ("10m", 600),
            ("1h30m", 5400),
            ("1h 30m", 5400),
            ("24h", 86_400),
        ] {
            assert_eq!(parse(text, &ALLOWED), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_hint() {
        for (text, hint) in [
            ("10", "write \"10s\" if you mean seconds"),
            ("2d", "write hours: \"48h\""),
            ("", "is no duration"),
            ("soon", "is no duration"),
            ("10 parsecs", "is no duration"),
            ("0s", "from 1s to 24h"),
            ("999ms", "from 1s to 24h"),
            ("-5s", "from 1s to 24h"),
            ("24h1s", "from 1s to 24h"),
            ("99999999999999999999h", "is no duration"),
        ] {
            let error = parse(text, &ALLOWED).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for text in ["100ms", "5s", "10m", "1h30m", "8760h"] {
            let range = Duration::from_millis(1)..=Duration::from_hours(8760);
            assert_eq!(human(parse(text, &range).unwrap()), text);
        }
    }
}
