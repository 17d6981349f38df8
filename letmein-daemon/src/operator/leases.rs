//! `letmeind leases`: who may come in, where to, and how long still.

use super::{
    Desk,
    client::{Client, unexpected},
    format::time,
    protocol::{Answer, FORMAT, Lease, PAGE, Request},
    serve::Out,
};
use crate::{
    clock,
    config::{Config, Resource},
    firewall::{LeaseKey, Target},
    leases::{Living, Opener},
};
use std::{
    io::{self, Write as _},
    net::IpAddr,
    path::Path,
    time::Duration,
};

/// Page after page, so that a million leases neither take memory nor keep knocks waiting.
pub(super) async fn answer(desk: &Desk, out: &mut Out) -> io::Result<()> {
    let mut last = None;
    loop {
        let page = desk.state.leases.borrow().page(last.as_ref(), PAGE);
        let more = page.len() == PAGE;
        let now = clock::monotonic();
        let config = desk.state.config();
        let leases = page.iter().map(|lease| shown(&config, lease, now));
        out.send(&Answer::Leases {
            leases: leases.collect(),
            more,
        })
        .await?;
        if !more {
            return Ok(());
        }
        last = page.last().copied();
        tokio::task::yield_now().await;
    }
}

/// The lease as it is told.
pub(super) fn shown(config: &Config, lease: &Living, now: u64) -> Lease {
    let resource = resource(config, &lease.key);
    let (user, operator) = match lease.opener {
        Opener::Unknown => (None, None),
        Opener::Operator(user) => (None, Some(user)),
        Opener::User(id) => {
            let name = config.user(id).map(|user| user.name.clone());
            (Some(name.unwrap_or_else(|| id.to_string())), None)
        }
    };
    Lease {
        address: holder(&lease.key, resource),
        resource: resource.map_or_else(String::new, |resource| resource.name.clone()),
        opens: opens(&lease.key, resource),
        user,
        operator,
        seconds_left: Duration::from_nanos(lease.end.saturating_sub(now)).as_secs(),
    }
}

/// The resource that a lease is of.
pub(super) fn resource<'c>(config: &'c Config, key: &LeaseKey) -> Option<&'c Resource> {
    match key.target {
        Target::Jump(id) | Target::JumpForAll(id) => config.resource(id),
        Target::Port(protocol, port) => config.resources().map(|(_, resource)| resource).find(|resource| {
            let mut ports = resource.ports.iter();
            ports.any(|ports| ports.protocol == protocol && ports.first == port)
        }),
    }
}

/// What a lease opens, and no other one of the same resource.
fn opens(key: &LeaseKey, resource: Option<&Resource>) -> String {
    match key.target {
        Target::Port(protocol, port) => {
            let ports = resource.into_iter().flat_map(|resource| &resource.ports);
            let mut ports = ports.filter(|ports| ports.protocol == protocol && ports.first == port);
            ports
                .next()
                .map_or_else(|| format!("{protocol}/{port}"), ToString::to_string)
        }
        Target::Jump(_) => "jump".to_owned(),
        Target::JumpForAll(_) => "jump for all".to_owned(),
    }
}

/// Who holds a lease; `None` is everybody.
fn holder(key: &LeaseKey, resource: Option<&Resource>) -> Option<String> {
    match (key.target, key.address, resource) {
        (Target::JumpForAll(_), ..) => None,
        (_, IpAddr::V6(address), Some(resource)) if resource.ipv6_prefix < 128 => {
            Some(format!("{address}/{}", resource.ipv6_prefix))
        }
        (_, address, _) => Some(address.to_string()),
    }
}

/// Asks, and prints as it comes.
pub fn run(socket: &Path, json: bool) -> anyhow::Result<()> {
    let mut client = Client::connect(socket)?;
    let mut answer = client.ask(&Request::Leases {})?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if json {
        write!(out, "{{\"format\":{FORMAT},\"leases\":[")?;
    }
    let mut first = true;
    loop {
        let Answer::Leases { leases, more } = answer else {
            return unexpected(&answer);
        };
        for lease in &leases {
            if json {
                let comma = if first { "" } else { "," };
                write!(out, "{comma}{}", serde_json::to_string(lease)?)?;
            } else {
                if first {
                    writeln!(
                        out,
                        "{}",
                        row("ADDRESS", "RESOURCE", "OPENS", "LEFT", "OPENED BY")
                    )?;
                }
                writeln!(out, "{}", text(lease))?;
            }
            first = false;
        }
        if !more {
            break;
        }
        answer = client.more()?;
    }
    if json {
        writeln!(out, "]}}")?;
    } else if first {
        writeln!(out, "no leases")?;
    }
    Ok(out.flush()?)
}

fn text(lease: &Lease) -> String {
    row(
        lease.address.as_deref().unwrap_or("everybody"),
        &lease.resource,
        &lease.opens,
        &time(Duration::from_secs(lease.seconds_left)),
        &opened_by(lease),
    )
}

/// Who has opened it, for people.
pub(super) fn opened_by(lease: &Lease) -> String {
    match (&lease.user, lease.operator) {
        (Some(user), _) => user.clone(),
        (None, Some(uid)) => format!("operator (uid {uid})"),
        (None, None) => "unknown".to_owned(),
    }
}

fn row(address: &str, resource: &str, opens: &str, left: &str, by: &str) -> String {
    format!("{address:<24} {resource:<14} {opens:<16} {left:>8}  {by}")
}
