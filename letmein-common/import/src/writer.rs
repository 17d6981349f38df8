//! Writing TOML with comments.

use std::{fmt::Display, time::Duration};
use toml_edit::Value;
use zeroize::Zeroizing;

/// Longer comments are broken.
const WIDTH: usize = 100;

/// The text so far. It may hold keys.
#[derive(Default)]
pub struct Writer(Zeroizing<String>);

impl Writer {
    pub fn line(&mut self, text: impl Display) {
        // Each time as a whole, so that no shorter buffer with a part of a secret is left behind by growing.
        let longer = format!("{}{text}\n", *self.0);
        self.0 = Zeroizing::new(longer);
    }

    /// Lines of comment.
    pub fn note(&mut self, text: &str) {
        let mut line = "#".to_owned();
        for word in text.split(' ') {
            if line.len() + word.len() > WIDTH {
                self.line(&line);
                "#".clone_into(&mut line);
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    pub fn section(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.line("");
        }
        self.line(format_args!("[{name}]"));
    }

    pub fn option(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let text = Zeroizing::new(value.to_string());
        self.line(format_args!("{name} = {}", text.trim()));
    }

    pub fn finish(self) -> Zeroizing<String> {
        self.0
    }
}

/// A name as a part of a section's, in quotes if need be.
pub fn key(name: &str) -> String {
    toml_edit::Key::new(name).to_string()
}

/// As our configurations write it.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match duration.subsec_millis() {
        0 if seconds != 0 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        0 if seconds != 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        0 => format!("{seconds}s"),
        _ => format!("{}ms", duration.as_millis()),
    }
}
