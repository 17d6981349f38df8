//! Section `[gate]`.

use super::{distinct, duration, number};
use crate::config::{
    Gate, XdpMode,
    error::Report,
    names,
    raw::{self, AddressText, ErrorPolicy, Given, Transport},
};
use letmein_common::{DEFAULT_CONTROL_PORT, bucket::Limit, source::Prefixes};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::{Range, RangeInclusive},
    path::PathBuf,
    time::Duration,
};
use toml::Spanned;

/// An exchange is three or four packets; whoever takes minutes for them holds a slot for nothing.
const CONTROL_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(10);
/// BPF maps take all their memory at once: at about 100 bytes each, this is 100 MB.
const MOST_PENDING: i64 = 1 << 20;
/// At about 60 bytes each, 250 MB.
const MOST_SALTS: i64 = 1 << 22;
/// Where systemd mounts the BPF file system, and a folder of ours in it.
const PIN_DIRECTORY: &str = "/sys/fs/bpf/letmein";
/// Beyond any network card's packet rate for one source, and well within the nanoseconds of [`Limit`].
const HIGHEST_RATE: i64 = 1_000_000;
/// At one to one and a half microseconds each, a third of a CPU at the most.
const HMAC_BUDGET: u32 = 200_000;
/// KNOCK and RESPONSE take one each, and one of them may have to be sent again.
const LEAST_BURST: u32 = 4;

pub(super) fn check(report: &mut Report<'_>, given: Given<raw::Gate>, interfaces: &[String]) -> Gate {
    let section = given.as_ref().map_or(0..0, Spanned::span);
    let gate = given.map(Spanned::into_inner).unwrap_or_default();
    let xdp = gate.xdp.unwrap_or(XdpMode::Auto);
    let silent = gate.silent.unwrap_or(false);
    let transports = challenge_transports(report, &gate, silent);
    let rate = number(report, "gate.rate", &gate.rate, 0..=HIGHEST_RATE, 20_u32);
    let least_burst = i64::from(rate > 0);
    Gate {
        interfaces: self::interfaces(report, &section, gate.interfaces.as_ref(), interfaces, xdp),
        port: number(report, "gate.port", &gate.port, 1..=65_535, DEFAULT_CONTROL_PORT),
        udp: transports.contains(&Transport::Udp),
        tcp: transports.contains(&Transport::Tcp),
        addresses: addresses(report, gate.addresses.as_ref()),
        xdp,
        error_policy: gate.error_policy.unwrap_or(ErrorPolicy::BasicAuth),
        control_timeout: duration(
            report,
            "gate.control-timeout",
            &gate.control_timeout,
            &CONTROL_TIMEOUT,
        )
        .unwrap_or(Duration::from_secs(5)),
        max_connections: number(
            report,
            "gate.max-connections",
            &gate.max_connections,
            1..=65_535,
            256,
        ),
        max_connections_per_source: number(
            report,
            "gate.max-connections-per-source",
            &gate.max_connections_per_source,
            1..=65_535,
            4,
        ),
        pending_challenges: number(
            report,
            "gate.pending-challenges",
            &gate.pending_challenges,
            1..=MOST_PENDING,
            4096,
        ),
        seen_salts: number(
            report,
            "gate.seen-salts",
            &gate.seen_salts,
            1..=MOST_SALTS,
            65_536,
        ),
        silent,
        number: number(report, "gate.number", &gate.number, 0..=u32::MAX.into(), 0),
        pin_directory: pin_directory(report, gate.pin_directory.as_ref()),
        limit: Limit::new(
            rate,
            number(report, "gate.burst", &gate.burst, least_burst..=HIGHEST_RATE, 40),
        ),
        budget: budget(number(
            report,
            "gate.hmac-budget",
            &gate.hmac_budget,
            0..=HIGHEST_RATE,
            HMAC_BUDGET,
        )),
        prefixes: Prefixes::new(
            number(
                report,
                "gate.source-prefix-ipv4",
                &gate.source_prefix_ipv4,
                1..=32,
                32,
            ),
            number(
                report,
                "gate.source-prefix-ipv6",
                &gate.source_prefix_ipv6,
                1..=128,
                56,
            ),
        ),
    }
}

/// So many HMACs a second. The XDP program's clock steps by up to 10 ms: two steps' worth may be spent at once, and enough
/// for one exchange.
fn budget(rate: u32) -> Limit {
    Limit::new(rate, (rate / 50).max(LEAST_BURST))
}

fn interfaces(
    report: &mut Report<'_>,
    section: &Range<usize>,
    given: Option<&Spanned<Vec<Spanned<String>>>>,
    instead: &[String],
    xdp: XdpMode,
) -> Vec<String> {
    let listed = given.map(|list| list.get_ref().as_slice()).unwrap_or_default();
    for name in distinct(report, listed, |a, b| a == b, |name| format!("{name:?}")) {
        if let Err(error) = names::check_interface(name.get_ref()) {
            report.add(&name.span(), error);
        }
    }
    for name in instead {
        if let Err(error) = names::check_interface(name) {
            report.add_argument("--interface", &error);
        }
    }
    if listed.is_empty() && instead.is_empty() && xdp != XdpMode::Off {
        report.add(
            &given.map_or_else(|| section.clone(), Spanned::span),
            "gate.interfaces names no interface for the XDP program; write interfaces = [\"eth0\"] with yours \
             (`ip link` lists them), or xdp = \"off\"",
        );
    }
    if instead.is_empty() {
        listed.iter().map(|name| name.get_ref().clone()).collect()
    } else {
        instead.to_vec()
    }
}

/// What challenge knocks are taken over: nothing, if they are not taken.
fn challenge_transports(report: &mut Report<'_>, gate: &raw::Gate, silent: bool) -> Vec<Transport> {
    let Some(off) = gate.challenge.as_ref().filter(|on| !*on.get_ref()) else {
        return transports(report, gate.transports.as_ref());
    };
    if !silent {
        report.add(
            &off.span(),
            "gate.challenge = false leaves no way to knock; add silent = true",
        );
    }
    if let Some(transports) = &gate.transports {
        report.add(
            &transports.span(),
            "gate.transports is for challenge knocks, which gate.challenge = false switches off; remove one of them",
        );
    }
    Vec::new()
}

fn pin_directory(report: &mut Report<'_>, given: Option<&Spanned<PathBuf>>) -> PathBuf {
    let Some(path) = given else {
        return PathBuf::from(PIN_DIRECTORY);
    };
    if !path.get_ref().is_absolute() {
        report.add(
            &path.span(),
            format!(
                "gate.pin-directory is an absolute path in a BPF file system, such as \"{PIN_DIRECTORY}\""
            ),
        );
    }
    path.get_ref().clone()
}

fn transports(report: &mut Report<'_>, given: Option<&Spanned<Vec<Spanned<Transport>>>>) -> Vec<Transport> {
    let Some(list) = given else {
        return vec![Transport::Udp, Transport::Tcp];
    };
    if list.get_ref().is_empty() {
        report.add(
            &list.span(),
            "gate.transports is empty; write [\"udp\"], [\"tcp\"] or both",
        );
    }
    let show = |transport: &Transport| match transport {
        Transport::Udp => "\"udp\"".to_owned(),
        Transport::Tcp => "\"tcp\"".to_owned(),
    };
    distinct(report, list.get_ref(), |a, b| a == b, show)
        .into_iter()
        .map(|one| *one.get_ref())
        .collect()
}

fn addresses(report: &mut Report<'_>, given: Option<&Spanned<Vec<Spanned<AddressText>>>>) -> Vec<IpAddr> {
    let Some(list) = given else {
        return vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    };
    if list.get_ref().is_empty() {
        report.add(
            &list.span(),
            "gate.addresses is empty; [\"0.0.0.0\", \"::\"] is every address",
        );
    }
    let mut parsed = Vec::new();
    for written in list.get_ref() {
        match names::parse_address(written.get_ref().as_str()) {
            Ok(address) => parsed.push(Spanned::new(written.span(), address)),
            Err(error) => report.add(&written.span(), error),
        }
    }
    let distinct = distinct(report, &parsed, |a, b| a == b, |address| format!("\"{address}\""));
    for address in &distinct {
        // Two sockets cannot share address and port.
        let covers = |other: &IpAddr| {
            other.is_unspecified()
                && other != address.get_ref()
                && other.is_ipv4() == address.get_ref().is_ipv4()
        };
        if let Some(other) = distinct.iter().find(|other| covers(other.get_ref())) {
            let text = format!(
                "\"{}\" is among \"{}\" already; keep one",
                address.get_ref(),
                other.get_ref()
            );
            report.add(&address.span(), text);
        }
    }
    distinct.into_iter().map(|address| *address.get_ref()).collect()
}
