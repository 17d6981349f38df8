//! Section `[daemon]`.

use crate::config::{
    Daemon,
    error::Report,
    raw::{self, Given, LogFormat, Seccomp},
};
use toml::Spanned;

/// Who the process is that talks to the network, if nobody says otherwise.
const USER: &str = "letmein";

pub(super) fn check(report: &mut Report<'_>, given: Given<raw::Daemon>) -> Daemon {
    let daemon = given.map(Spanned::into_inner).unwrap_or_default();
    if let Some(user) = &daemon.user
        && (user.get_ref().is_empty()
            || user
                .get_ref()
                .chars()
                .any(|c| c.is_whitespace() || c.is_control()))
    {
        let text = format!(
            "daemon.user is {:?}, which is no user; write a name, such as {USER:?}, or a number",
            user.get_ref()
        );
        report.add(&user.span(), text);
    }
    Daemon {
        user: daemon.user.map_or_else(|| USER.to_owned(), Spanned::into_inner),
        seccomp: daemon.seccomp.unwrap_or(Seccomp::Kill),
        log_format: daemon.log_format.unwrap_or(LogFormat::Text),
    }
}
