//! From the file's shape to its meaning. Every check notes what it finds in the [`Report`] and goes on with a
//! value that does no harm, so that one run finds everything.

mod firewall;
mod gate;
mod jump;
mod resources;
mod shield;
mod users;

use super::{
    Config, ConfigError, duration,
    error::Report,
    files::{self, Access},
    raw::{self, DurationText, Given},
};
use serde::Deserialize as _;
use std::{ops::RangeInclusive, path::Path, time::Duration};
use toml::{
    Spanned,
    de::{DeTable, Deserializer},
};

/// What was read, and how it may be used.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
    /// Where relative key files are.
    folder: &'a Path,
    /// Who may read the text, if it is from a file.
    access: Option<Access>,
    /// Instead of `gate.interfaces`, unless empty.
    interfaces: &'a [String],
}

pub(super) fn load(path: &Path, interfaces: &[String]) -> Result<Config, ConfigError> {
    let refuse = |text: String| ConfigError::whole_file(path, &text);
    let (text, access) = files::read(path).map_err(refuse)?;
    access.check_trusted(path).map_err(refuse)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    config(&Source {
        path,
        text: &text,
        folder,
        access: Some(access),
        interfaces,
    })
}

pub(super) fn parse(text: &str, path: &Path, folder: &Path) -> Result<Config, ConfigError> {
    config(&Source {
        path,
        text,
        folder,
        access: None,
        interfaces: &[],
    })
}

fn config(source: &Source<'_>) -> Result<Config, ConfigError> {
    let mut report = Report::new(source.path, source.text);
    // Not `toml::from_str`, whose errors have a copy of the text, keys included, which nobody wipes.
    let parsed = DeTable::parse(source.text).map(Deserializer::from);
    let file = match parsed.and_then(raw::File::deserialize) {
        Ok(file) => Some(file),
        Err(error) => {
            // Only the message: the error's own Display repeats the line, which may hold a key.
            report.add(&error.span().unwrap_or(0..0), with_remedy(error.message()));
            None
        }
    };
    // From here on there is a file, or a report that is not empty.
    let file = report.finish(file)?.unwrap_or_default();
    let mut report = Report::new(source.path, source.text);

    let port_at = file
        .gate
        .as_ref()
        .and_then(|gate| Some(gate.get_ref().port.as_ref()?.span()));
    let gate = gate::check(&mut report, file.gate, source.interfaces);
    let (firewall, leases) = firewall::check(&mut report, file.firewall, gate.xdp);
    let (resources, names) =
        resources::check(&mut report, &file.resources, &gate, port_at, (&firewall, &leases));
    let users = users::check(&mut report, &file.users, &names, source, gate.silent);
    report.finish(Config {
        gate,
        firewall,
        users,
        resources,
    })
}

/// The TOML parser's words, and what to do where they do not tell.
fn with_remedy(message: &str) -> String {
    let remedy = if message == "duplicate key" {
        "; it is there twice, keep one"
    } else if message.contains("must be quoted") || message.contains("leading zero") {
        "; ids, keys, ports, durations and names are written in quotes"
    } else {
        ""
    };
    format!("{message}{remedy}")
}

/// A number within bounds that the type `T` can hold.
fn number<T: TryFrom<i64>>(
    report: &mut Report<'_>,
    name: &str,
    given: &Given<i64>,
    allowed: RangeInclusive<i64>,
    default: T,
) -> T {
    let Some(written) = given else {
        return default;
    };
    let value = *written.get_ref();
    match T::try_from(value) {
        Ok(number) if allowed.contains(&value) => number,
        _ => {
            let (low, high) = allowed.into_inner();
            report.add(
                &written.span(),
                format!("{name} is {value}; it may be from {low} to {high}"),
            );
            default
        }
    }
}

/// A duration within bounds.
fn duration(
    report: &mut Report<'_>,
    name: &str,
    given: &Given<DurationText>,
    allowed: &RangeInclusive<Duration>,
) -> Option<Duration> {
    let written = given.as_ref()?;
    duration::parse(written.get_ref().as_str(), allowed)
        .map_err(|error| report.add(&written.span(), format!("{name}: {error}")))
        .ok()
}

/// The elements of a list without those that `same` calls a repetition of an earlier one, which are noted.
fn distinct<'l, T>(
    report: &mut Report<'_>,
    list: &'l [Spanned<T>],
    same: impl Fn(&T, &T) -> bool,
    show: impl Fn(&T) -> String,
) -> Vec<&'l Spanned<T>> {
    let mut kept: Vec<&Spanned<T>> = Vec::new();
    for element in list {
        if kept
            .iter()
            .any(|earlier| same(earlier.get_ref(), element.get_ref()))
        {
            report.add(
                &element.span(),
                format!("{} is in this list twice; keep one", show(element.get_ref())),
            );
        } else {
            kept.push(element);
        }
    }
    kept
}

/// Sections by name, in the order of the file: of two that are in each other's way, the later one is to blame.
fn in_file_order<T>(sections: &raw::Named<T>) -> Vec<(&Spanned<String>, &Spanned<T>)> {
    let mut sections: Vec<_> = sections.iter().collect();
    sections.sort_by_key(|(name, _)| name.span().start);
    sections
}
