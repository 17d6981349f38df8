//! Section `[operator]`.

use crate::{
    config::{
        MetricsAddress, OperatorSettings,
        error::Report,
        raw::{self, Given},
    },
    operator::DEFAULT_SOCKET,
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};
use toml::Spanned;

/// `sun_path` of `unix(7)` has 108 bytes, the last of them zero.
const LONGEST_PATH: usize = 107;

pub(super) fn check(report: &mut Report<'_>, given: Given<raw::Operator>) -> OperatorSettings {
    let operator = given.map(Spanned::into_inner).unwrap_or_default();
    let metrics = metrics(report, operator.metrics.as_ref());
    if let Some(given) = &operator.metrics_group
        && !matches!(metrics, Some(MetricsAddress::Unix(_)))
    {
        report.add(
            &given.span(),
            "operator.metrics-group is for a Unix socket, as in metrics = \"/run/letmein/metrics.sock\"; remove it, or \
             use one",
        );
    }
    OperatorSettings {
        socket: socket(report, operator.socket.as_ref()),
        group: operator.group.map(Spanned::into_inner),
        metrics_group: operator.metrics_group.map(Spanned::into_inner),
        metrics,
    }
}

fn metrics(report: &mut Report<'_>, given: Option<&Spanned<String>>) -> Option<MetricsAddress> {
    let given = given?;
    let text = given.get_ref();
    if is_usable(Path::new(text)) {
        return Some(MetricsAddress::Unix(PathBuf::from(text)));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().to_canonical().is_loopback() && address.port() != 0 => {
            return Some(MetricsAddress::Loopback(address));
        }
        _ => report.add(
            &given.span(),
            "operator.metrics is the absolute path of a Unix socket, or a loopback address and port such as \
             \"127.0.0.1:9580\" or \"[::1]:9580\"; let a proxy of yours carry it further",
        ),
    }
    None
}

fn socket(report: &mut Report<'_>, given: Option<&Spanned<PathBuf>>) -> PathBuf {
    let Some(path) = given else {
        return PathBuf::from(DEFAULT_SOCKET);
    };
    if !is_usable(path.get_ref()) {
        report.add(
            &path.span(),
            format!(
                "operator.socket is an absolute path of at most {LONGEST_PATH} bytes, such as \"{DEFAULT_SOCKET}\""
            ),
        );
    }
    path.get_ref().clone()
}

/// Whether a socket can have this path.
fn is_usable(path: &Path) -> bool {
    path.is_absolute() && path.file_name().is_some() && path.as_os_str().len() <= LONGEST_PATH
}
