//! Section `[firewall]`.

use super::{distinct, duration, number, shield};
use crate::config::{
    FirewallSettings, XdpMode,
    duration::human,
    error::Report,
    names,
    raw::{self, FirewallMode, Given},
};
use crate::firewall::{Closed, Mode};
use std::{ops::RangeInclusive, time::Duration};
use toml::Spanned;

/// What a lease may last. nftables could hold longer ones, but nobody would mean them.
const LEASE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(365 * 24);
const DEFAULT_LEASE: Duration = Duration::from_mins(10);
const DEFAULT_MAX_LEASE: Duration = Duration::from_hours(24);
/// The kernel reserves about 16 bytes for each, twice for two address families and twice for expired ones.
const MOST_LEASES: i64 = 1 << 22;

/// About as many as nftables can take.
const MOST_OPENS: i64 = 100_000;

/// The limits that resources have to keep, and what holds for those that do not say otherwise.
pub(super) struct Leases {
    /// For resources that name none.
    pub default: Duration,
    /// None is longer.
    pub longest: Duration,
    /// For resources that say nothing about it.
    pub shield: shield::Default,
}

impl Leases {
    /// The lease of a resource.
    pub fn resource(
        &self,
        report: &mut Report<'_>,
        name: &str,
        given: &Given<raw::DurationText>,
    ) -> Duration {
        let what = format!("the lease of resource {name:?}");
        let Some(lease) = duration(report, &what, given, &LEASE) else {
            return self.default;
        };
        self.keep(report, &what, given, lease)
    }

    fn keep(
        &self,
        report: &mut Report<'_>,
        what: &str,
        given: &Given<raw::DurationText>,
        lease: Duration,
    ) -> Duration {
        if lease > self.longest {
            let (lease, longest) = (human(lease), human(self.longest));
            report.add(
                &given.as_ref().map_or(0..0, Spanned::span),
                format!(
                    "{what} is {lease}, longer than firewall.max-lease ({longest}); shorten it or raise that"
                ),
            );
        }
        lease.min(self.longest)
    }
}

pub(super) fn check(
    report: &mut Report<'_>,
    given: Given<raw::Firewall>,
    xdp: XdpMode,
) -> (FirewallSettings, Leases) {
    let firewall = given.map(Spanned::into_inner).unwrap_or_default();
    let mode = mode(report, &firewall);
    let longest =
        duration(report, "firewall.max-lease", &firewall.max_lease, &LEASE).unwrap_or(DEFAULT_MAX_LEASE);
    let mut leases = Leases {
        default: DEFAULT_LEASE.min(longest),
        longest,
        shield: shield::check(report, &firewall.shield, xdp, &mode),
    };
    if let Some(lease) = duration(report, "firewall.default-lease", &firewall.default_lease, &LEASE) {
        leases.default = leases.keep(report, "firewall.default-lease", &firewall.default_lease, lease);
    }
    let max_leases = number(
        report,
        "firewall.max-leases",
        &firewall.max_leases,
        1..=MOST_LEASES,
        65_536,
    );
    let max_opens_per_second = number(
        report,
        "firewall.max-opens-per-second",
        &firewall.max_opens_per_second,
        1..=MOST_OPENS,
        100,
    );
    let settings = FirewallSettings {
        mode,
        max_leases,
        max_lease: longest,
        max_opens_per_second,
        forward_chain: name(report, "chain", &firewall.forward_chain, "LETMEIN-FORWARD"),
        output_chain: name(report, "chain", &firewall.output_chain, "LETMEIN-OUTPUT"),
        inside: inside(report, firewall.inside_interfaces.as_ref()),
    };
    check_distinct(report, &firewall, &settings);
    (settings, leases)
}

/// One chain cannot be asked at two hooks.
fn check_distinct(report: &mut Report<'_>, firewall: &raw::Firewall, settings: &FirewallSettings) {
    let Mode::Chain { chain, .. } = &settings.mode else {
        return;
    };
    let chains = [
        ("chain", chain, &firewall.chain),
        ("forward-chain", &settings.forward_chain, &firewall.forward_chain),
        ("output-chain", &settings.output_chain, &firewall.output_chain),
    ];
    for (index, (option, name, given)) in chains.iter().enumerate() {
        let earlier = chains.iter().take(index).find(|(_, other, _)| other == name);
        if let Some((other, _, other_given)) = earlier
            && let Some(at) = given.as_ref().or(other_given.as_ref())
        {
            let text = format!(
                "firewall.{other} and firewall.{option} are both {name:?}; what comes in, what is forwarded and what \
                 is sent need a chain each"
            );
            report.add(&at.span(), text);
        }
    }
}

/// Names of interfaces, each perhaps with a `*` at its end.
fn inside(report: &mut Report<'_>, given: Option<&Spanned<Vec<Spanned<String>>>>) -> Vec<String> {
    let list = given.map(|list| list.get_ref().as_slice()).unwrap_or_default();
    let mut names = Vec::new();
    for name in distinct(report, list, |a, b| a == b, |name| format!("{name:?}")) {
        let plain = name.get_ref().strip_suffix('*').unwrap_or(name.get_ref());
        match names::check_interface(plain) {
            Ok(()) if !plain.contains(['*', '"', '\\']) => names.push(name.get_ref().clone()),
            Ok(()) => report.add(
                &name.span(),
                format!(
                    "{:?} is no interface; a * may only be at the end, as in \"br-*\"",
                    name.get_ref()
                ),
            ),
            Err(error) => report.add(&name.span(), error),
        }
    }
    names
}

fn mode(report: &mut Report<'_>, firewall: &raw::Firewall) -> Mode {
    match firewall.mode.unwrap_or(FirewallMode::Guard) {
        FirewallMode::Guard => {
            for (option, given) in [
                ("table", &firewall.table),
                ("chain", &firewall.chain),
                ("forward-chain", &firewall.forward_chain),
                ("output-chain", &firewall.output_chain),
            ] {
                if let Some(given) = given {
                    let text = format!(
                        "firewall.{option} belongs to mode = \"chain\"; guard mode has its own table: remove this, or \
                         set mode = \"chain\""
                    );
                    report.add(&given.span(), text);
                }
            }
            let closed = match firewall.closed.as_ref().map(Spanned::get_ref) {
                None | Some(raw::Closed::Drop) => Closed::Drop,
                Some(raw::Closed::Reject) => Closed::Reject,
            };
            Mode::Guard { closed }
        }
        FirewallMode::Chain => {
            if let Some(closed) = &firewall.closed {
                report.add(
                    &closed.span(),
                    "firewall.closed belongs to mode = \"guard\"; in chain mode your own rules close the ports: remove \
                     this, or set mode = \"guard\"",
                );
            }
            if let Some(inside) = &firewall.inside_interfaces {
                report.add(
                    &inside.span(),
                    "firewall.inside-interfaces belongs to mode = \"guard\"; in chain mode your own rules say what may \
                     pass: remove this, or set mode = \"guard\"",
                );
            }
            Mode::Chain {
                table: name(report, "table", &firewall.table, "filter"),
                chain: name(report, "chain", &firewall.chain, "LETMEIN-INPUT"),
            }
        }
    }
}

fn name(report: &mut Report<'_>, what: &str, given: &Given<String>, default: &str) -> String {
    let Some(written) = given else {
        return default.to_owned();
    };
    if let Err(error) = names::check_nft(what, written.get_ref()) {
        report.add(&written.span(), error);
    }
    written.get_ref().clone()
}
