//! Single values as letmein 12 writes them.

use crate::{ImportError, ini::Given};
use std::time::Duration;

/// `KEY: VALUE, VALUE` between slashes, or values alone, which have an empty key here.
pub struct Item<'a> {
    pub key: &'a str,
    pub values: Vec<&'a str>,
}

/// The items of `… / … / …`.
pub fn items(given: &Given) -> Result<Vec<Item<'_>>, ImportError> {
    given.value.split('/').map(|text| item(given, text)).collect()
}

fn item<'a>(given: &Given, text: &'a str) -> Result<Item<'a>, ImportError> {
    let (key, values) = match text.split_once(':') {
        Some((key, _)) if key.trim().is_empty() => {
            return Err(given.wrong("a colon has a name before it"));
        }
        Some((key, values)) => (key.trim(), values),
        None => ("", text),
    };
    let values = values.split(',').map(str::trim).collect();
    Ok(Item { key, values })
}

impl Item<'_> {
    /// The only value.
    pub fn one(&self, given: &Given) -> Result<&str, ImportError> {
        match self.values[..] {
            [one] => Ok(one),
            _ => Err(given.wrong(format!("{} has one value", self.key))),
        }
    }
}

impl Given {
    /// An error about this option.
    pub fn wrong(&self, what: impl AsRef<str>) -> ImportError {
        ImportError::at(self.line, format!("{}: {}", self.name, what.as_ref()))
    }

    pub fn flag(&self) -> Result<bool, ImportError> {
        match &*self.value.to_lowercase() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(self.wrong("this is true or false")),
        }
    }

    /// Seconds, whole or not.
    pub fn seconds(&self, text: &str) -> Result<Duration, ImportError> {
        let most = f64::from(u32::MAX);
        let whole = number(text).map(|seconds| Duration::from_secs(seconds.into()));
        let parts = || text.parse().ok().filter(|seconds| (0.0..=most).contains(seconds));
        whole
            .or_else(|| parts().map(Duration::from_secs_f64))
            .ok_or_else(|| self.wrong("this is no number of seconds"))
    }

    pub fn port(&self, text: &str) -> Result<u16, ImportError> {
        let port = number(text).and_then(|port| u16::try_from(port).ok());
        port.filter(|port| *port != 0)
            .ok_or_else(|| self.wrong("a port is from 1 to 65535"))
    }

    /// 1 to 8 hexadecimal digits; there may be more zeros before.
    pub fn id(&self, text: &str) -> Result<u32, ImportError> {
        u32::from_str_radix(text, 16).map_err(|_| self.wrong("an id is 1 to 8 hexadecimal digits"))
    }
}

/// Decimal, or hexadecimal after `0x`.
pub fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
