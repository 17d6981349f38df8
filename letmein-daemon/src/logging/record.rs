//! One event of the log, whatever it will look like.

use jiff::Timestamp;
use serde_json::Value;
use std::fmt::{self, Write as _};
use tracing::{
    Event, Level,
    field::{Field, Visit},
};

/// What was said, when, and what there is for programs.
pub struct Record {
    pub time: Timestamp,
    pub level: Level,
    pub message: String,
    pub fields: Vec<(&'static str, Value)>,
}

impl Record {
    pub fn of(event: &Event<'_>) -> Self {
        let mut record = Self {
            time: Timestamp::now(),
            level: *event.metadata().level(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut record);
        record
    }

    fn add(&mut self, field: &Field, value: Value) {
        // Where in the source an event of the `log` crate comes from is nobody's business.
        if !field.name().starts_with("log.") {
            self.fields.push((field.name(), value));
        }
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string does not fail.
            let _infallible = write!(self.message, "{value:?}");
        } else {
            self.add(field, format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.add(field, value.into());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}
