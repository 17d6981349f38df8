//! The line that a user's client is told all with.

use super::{Line, book::Book};
use crate::{config::Resource, firewall::Protocol};
use anyhow::{Context as _, bail};
use letmein_enrolment::{
    is_host,
    line::{self, Enrolment},
};
use std::{fs, net::IpAddr};
use zeroize::Zeroizing;

/// The line for this user.
pub fn line(book: &Book, name: &str, options: &Line) -> anyhow::Result<Zeroizing<String>> {
    let config = &book.config;
    let found = config.users().find(|(_, user)| user.name == name);
    let (id, user) =
        found.with_context(|| format!("there is no user {name:?}; `letmeind user list` lists them"))?;
    let (host, server) = place(options)?;
    let challenge = config.gate.udp || config.gate.tcp;
    if options.silent && !config.gate.silent {
        bail!("this gate takes no silent knocks; set silent = true in [gate], or leave out --silent");
    }
    let silent = options.silent || !challenge;
    let resources = user
        .permitted()
        .iter()
        .filter_map(|id| Some((*id, config.resource(*id)?)));
    let enrolment = Enrolment {
        name: server,
        host,
        port: config.gate.port,
        silent,
        gate_number: if silent { config.gate.number } else { 0 },
        tcp: !silent && !config.gate.udp,
        user: id,
        key: book.key(name)?,
        resources: resources
            .map(|(id, resource)| line::Resource {
                name: resource.name.clone(),
                id,
                port: port(resource),
            })
            .collect(),
    };
    enrolment.to_line().context("there is no line for this user")
}

/// Where clients find this gate, and what they shall call it.
pub fn place(options: &Line) -> anyhow::Result<(String, String)> {
    let host = match &options.host {
        Some(host) => host.clone(),
        None => own_name()?,
    };
    if !is_host(&host) {
        bail!(
            "{host:?} is neither a name nor an address; give the one that clients reach this machine by, with --host"
        );
    }
    let server = options
        .server
        .clone()
        .unwrap_or_else(|| match host.parse::<IpAddr>() {
            Ok(_) => host.clone(),
            Err(_) => host.split('.').next().unwrap_or_default().to_owned(),
        });
    Ok((host, server))
}

/// This machine's name, which clients may know it by or not.
fn own_name() -> anyhow::Result<String> {
    let name =
        fs::read_to_string("/proc/sys/kernel/hostname").context("this machine has no name; give --host")?;
    let name = name.trim().to_owned();
    eprintln!(
        "Clients are told to find this gate as {name:?}; if they know it by another name, give --host."
    );
    Ok(name)
}

/// The one port that the resource is known by, better of TCP.
fn port(resource: &Resource) -> Option<u16> {
    let single = || resource.ports.iter().filter(|range| range.first == range.last);
    let tcp = single().find(|range| range.protocol == Protocol::Tcp);
    tcp.or_else(|| single().next()).map(|range| range.first)
}
