//! `letmeind open`: opens a resource for somebody who has not knocked.

use super::{
    Desk,
    client::{Client, unexpected},
    format::time,
    protocol::{Answer, Request},
};
use crate::config::{Config, Resource, duration};
use anyhow::{Context as _, ensure};
use letmein_common::{ResourceId, source::Address};
use std::{net::IpAddr, ops::RangeInclusive, path::Path, time::Duration};

/// A year: the most that `firewall.max-lease` can be.
const ANY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(365 * 24);

pub(super) fn answer(
    desk: &Desk,
    operator: u32,
    name: &str,
    address: IpAddr,
    seconds: Option<u64>,
) -> anyhow::Result<Answer> {
    let config = &*desk.state.config();
    let resource = find(config, name)?;
    let address = address.to_canonical();
    ensure!(
        !Address::from(address).is_martian(),
        "{address} is nobody's address"
    );
    let lease = seconds.map_or(resource.lease, Duration::from_secs);
    let most = config.firewall.max_lease;
    ensure!(
        lease > Duration::ZERO && lease <= most,
        "a lease is for at least a second and at most {} (firewall.max-lease)",
        time(most)
    );
    desk.state
        .leases
        .borrow_mut()
        .open_by_hand(operator, resource, address, lease)
        .with_context(|| format!("{} is not open for {address}", resource.name))?;
    Ok(Answer::Opened {
        ports: resource.port_list(),
        seconds: lease.as_secs(),
    })
}

/// The resource with this name, or else with this id.
fn find<'c>(config: &'c Config, name: &str) -> anyhow::Result<&'c Resource> {
    let mut all = config.resources().map(|(_, resource)| resource);
    let by_name = all.find(|resource| resource.name == name);
    let by_id = || config.resource(name.parse::<ResourceId>().ok()?);
    by_name.or_else(by_id).with_context(|| {
        let mut names: Vec<_> = config
            .resources()
            .map(|(_, resource)| resource.name.as_str())
            .collect();
        names.sort_unstable();
        format!("there is no resource {name:?}; there is: {}", names.join(", "))
    })
}

/// Reads what `--for` is given. letmeind knows how long it may be.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    duration::parse(text, &ANY)
}

/// Asks for it.
pub fn run(socket: &Path, resource: &str, address: IpAddr, lease: Option<Duration>) -> anyhow::Result<()> {
    let request = Request::Open {
        resource: resource.to_owned(),
        address,
        seconds: lease.map(|lease| lease.as_secs()),
    };
    match Client::connect(socket)?.ask(&request)? {
        Answer::Opened { ports, seconds } => {
            let lease = time(Duration::from_secs(seconds));
            println!("{resource} ({ports}) is open for {address}, for {lease}");
            Ok(())
        }
        other => unexpected(&other),
    }
}
