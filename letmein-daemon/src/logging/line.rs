//! The log as lines: text for people, JSON for programs.

use super::record::Record;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use std::fmt::Write as _;

/// `2026-11-24T17:38:55.630697Z  INFO ready on port 5800`. A problem of the configuration may have a line of its own.
pub fn text(record: &Record) -> String {
    let mut line = format!("{:.6} {:>5} ", record.time, record.level.as_str());
    for c in record.message.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            // Nobody's name moves the cursor. Writing to a string does not fail.
            let _infallible = write!(line, "{}", c.escape_unicode());
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line
}

/// The same, and the fields, as one object.
pub fn json(record: &Record) -> String {
    // Strings and numbers under names of ours: that does not fail.
    let mut line = serde_json::to_string(record).unwrap_or_default();
    line.push('\n');
    line
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("time", &format_args!("{:.6}", self.time))?;
        object.serialize_entry("level", &self.level.as_str().to_ascii_lowercase())?;
        object.serialize_entry("message", &self.message)?;
        for (name, value) in &self.fields {
            object.serialize_entry(name, value)?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use tracing::Level;

    #[test]
    fn a_line_is_a_line_whatever_is_said() {
        let record = Record {
            time: "2026-11-24T17:38:55.6306979Z".parse().unwrap(),
            level: Level::WARN,
            message: "\"two\"\nlines \u{1b}[31m".to_owned(),
            fields: vec![("lease_seconds", 600.into()), ("user", "alice".into())],
        };
        assert_eq!(
            text(&record),
            "2026-11-24T17:38:55.630697Z  WARN \"two\"\nlines \\u{1b}[31m\n"
        );
        let line = json(&record);
        assert!(line.starts_with("{\"time\":\"2026"), "{line}");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "time": "2026-11-24T17:38:55.630697Z", "level": "warn", "message": record.message,
            "lease_seconds": 600, "user": "alice",
        });
        assert_eq!(read, expected);
    }
}
