//! Sections `[users.NAME]`.

use super::{
    Source, distinct, in_file_order,
    resources::{Names, Owners, id},
};
use crate::config::{User, error::Report, key, names, raw};
use jiff::Timestamp;
use letmein_common::{ResourceId, UserId, hmac::KeyedStates, wire::silent};
use std::{collections::HashMap, ops::Range, path::Path, time::SystemTime};
use toml::Spanned;

/// Stands for all resources.
const ALL: &str = "*";

pub(super) fn check(
    report: &mut Report<'_>,
    given: &raw::Named<raw::User>,
    resources: &Names,
    source: &Source<'_>,
    silent: bool,
) -> HashMap<UserId, User> {
    let mut users = HashMap::new();
    let mut owners = Owners::default();
    for (name, section) in in_file_order(given) {
        let (name_at, name) = (name.span(), name.get_ref().as_str());
        let user = section.get_ref();
        if let Err(error) = names::check_own(name) {
            report.add(&name_at, error);
        }
        let id = id(report, "user", name, &section.span(), &user.id, &mut owners);
        let key = key(report, name, &section.span(), user, source);
        let until = until(report, name, user);
        let permits = permits(report, name, &section.span(), user.resources.as_ref(), resources);
        if let (Some(id), Some(key)) = (id, key) {
            users.insert(
                UserId(id),
                User {
                    id: UserId(id),
                    name: name.to_owned(),
                    silent: silent.then(|| Box::new(silent::Keys::derive(&key))),
                    key,
                    other_addresses: user.other_addresses.unwrap_or(false),
                    until,
                    permits,
                },
            );
        }
    }
    users
}

/// When the user's time is over; an error stands for no end, since the report refuses the file anyway.
fn until(report: &mut Report<'_>, name: &str, user: &raw::User) -> Option<SystemTime> {
    let written = user.until.as_ref()?;
    let text = written.get_ref().as_str();
    let moment: Result<Timestamp, _> = text.parse();
    moment
        .map_err(|_foreign_words| {
            let hint = "is no moment; write it in UTC, such as \"2030-12-31T12:00:00Z\"";
            report.add(&written.span(), format!("user {name:?}: until = {text:?} {hint}"));
        })
        .ok()
        .map(SystemTime::from)
}

fn key(
    report: &mut Report<'_>,
    name: &str,
    section: &Range<usize>,
    user: &raw::User,
    source: &Source<'_>,
) -> Option<KeyedStates> {
    let (at, key) = match (&user.key, &user.key_file) {
        (Some(inline), None) => {
            let secret = source
                .access
                .map_or(Ok(()), |access| access.check_secret(source.path));
            (
                inline.span(),
                secret.and_then(|()| key::parse(inline.get_ref().as_str())),
            )
        }
        (None, Some(file)) => (file.span(), from_file(&source.folder.join(file.get_ref()))),
        (Some(inline), Some(_)) => (
            inline.span(),
            Err("both key and key-file are given; keep one, better key-file".to_owned()),
        ),
        (None, None) => (
            section.clone(),
            Err(format!("no key is given; add key-file = \"keys/{name}.key\"")),
        ),
    };
    key.map_err(|error| report.add(&at, format!("user {name:?}: {error}")))
        .ok()
}

fn from_file(path: &Path) -> Result<KeyedStates, String> {
    key::read(path).map_err(|error| {
        let file = path.file_name().unwrap_or_default();
        if key::parse(&file.to_string_lossy()).is_ok() {
            return "key-file names a file, but holds a key; use key for that, or put it into a file"
                .to_owned();
        }
        error
    })
}

fn permits(
    report: &mut Report<'_>,
    name: &str,
    section: &Range<usize>,
    given: Option<&Spanned<Vec<Spanned<String>>>>,
    resources: &Names,
) -> Vec<ResourceId> {
    let list = given.map(|list| list.get_ref().as_slice()).unwrap_or_default();
    let everybodys = resources.values().filter(|resource| resource.all_users);
    let mut permits: Vec<_> = everybodys.clone().filter_map(|resource| resource.id).collect();
    if list.is_empty() && everybodys.count() == 0 {
        let at = given.map_or_else(|| section.clone(), Spanned::span);
        let text = format!(
            "user {name:?} may open nothing; name resources as in resources = [\"ssh\"], or all with [\"*\"], or set \
             all-users = true in a resource"
        );
        report.add(&at, text);
    }
    for resource in distinct(report, list, |a, b| a == b, |name| format!("{name:?}")) {
        match resource.get_ref().as_str() {
            ALL if list.len() > 1 => {
                report.add(
                    &resource.span(),
                    "\"*\" means all resources already; remove it or the other names",
                );
            }
            ALL => permits.extend(resources.values().filter_map(|resource| resource.id)),
            wanted => match resources.get(wanted) {
                Some(resource) => permits.extend(resource.id),
                None => report.add(&resource.span(), unknown(name, wanted, resources)),
            },
        }
    }
    permits.sort_unstable();
    permits.dedup();
    permits
}

fn unknown(user: &str, resource: &str, resources: &Names) -> String {
    let mut known: Vec<_> = resources.keys().map(|name| format!("{name:?}")).collect();
    known.sort_unstable();
    let known = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    format!(
        "user {user:?} may open {resource:?}, but there is no section [resources.{resource}]; there is: {known}"
    )
}
