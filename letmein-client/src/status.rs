//! `letmein status`: what can be told without a knock.

use crate::{
    USAGE,
    cli::{Cli, Status},
    config::{Mode, Server, Transport},
    exchange::{self, Answer, Failure},
    fail, fail_all,
    plan::{Book, Families},
    print, print_json, secret,
};
use jiff::Timestamp;
use serde::Serialize;
use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

/// How long a port may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Exactly what `--json` tells.
#[derive(Serialize)]
struct Report {
    version: u32,
    command: &'static str,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Section>,
    /// The first of each family, which a knock would go to.
    addresses: Vec<IpAddr>,
    resources: Vec<Resource>,
    /// This machine's clock, in UTC.
    clock: String,
}

/// A section whose key could be read.
#[derive(Serialize)]
struct Section {
    name: String,
    host: String,
    control_port: u16,
    user: String,
    mode: &'static str,
    transport: &'static str,
}

#[derive(Serialize)]
struct Resource {
    name: String,
    id: String,
    port: Option<u16>,
    tcp: Vec<Port>,
}

#[derive(Serialize)]
struct Port {
    address: IpAddr,
    state: Answer,
}

pub fn run(cli: &Cli, options: &Status) -> ExitCode {
    let mut report = Report {
        version: crate::JSON_VERSION,
        command: "status",
        exit_code: 0,
        error: None,
        server: None,
        addresses: Vec::new(),
        resources: Vec::new(),
        clock: format!("{:.0}", Timestamp::now()),
    };
    let mut code = ExitCode::SUCCESS;
    match look(cli, options, &mut report) {
        Ok(()) => {}
        Err(Ended::Usage(error)) => {
            code = fail(USAGE, format_args!("{error:#}"));
            report.exit_code = USAGE;
            report.error = Some(secret::hide_keys(&format!("{error:#}")));
        }
        Err(Ended::Name(failure)) => {
            report.exit_code = failure.exit_code();
            report.error = Some(failure.to_string());
            code = fail_all(&[failure]);
        }
    }
    let written = if options.json {
        print_json(&report)
    } else {
        print(&report.text())
    };
    if report.exit_code == 0 { written } else { code }
}

enum Ended {
    Usage(anyhow::Error),
    Name(Failure),
}

fn look(cli: &Cli, options: &Status, report: &mut Report) -> Result<(), Ended> {
    let book = Book::read(cli.config.as_deref()).map_err(Ended::Usage)?;
    let (name, server) = book.server(&options.host, options.user).map_err(Ended::Usage)?;
    book.key(name, server).map_err(Ended::Usage)?;
    let section = Section::new(name, server);
    let host = section.host.clone();
    report.server = Some(section);
    let deadline = Instant::now() + server.timeout;
    let found = exchange::addresses(&host, server.port, Families::Any, deadline).map_err(Ended::Name)?;
    report.addresses = found.iter().map(SocketAddr::ip).collect();
    report.resources = resources(server, &report.addresses);
    Ok(())
}

/// Tries every port at every address, all at once.
fn resources(server: &Server, addresses: &[IpAddr]) -> Vec<Resource> {
    thread::scope(|scope| {
        let asked: Vec<_> = server
            .resources
            .iter()
            .map(|(name, resource)| {
                let tcp: Vec<_> = addresses
                    .iter()
                    .copied()
                    .filter_map(|address| Some(SocketAddr::new(address, resource.port?)))
                    .map(|at| (at.ip(), scope.spawn(move || exchange::try_port(at, PATIENCE))))
                    .collect();
                (name, resource, tcp)
            })
            .collect();
        let answered = asked.into_iter().map(|(name, resource, tcp)| Resource {
            name: name.clone(),
            id: resource.id.to_string(),
            port: resource.port,
            tcp: tcp
                .into_iter()
                .filter_map(|(address, answer)| {
                    Some(Port {
                        address,
                        state: answer.join().ok()?,
                    })
                })
                .collect(),
        });
        answered.collect()
    })
}

impl Section {
    fn new(name: &str, server: &Server) -> Self {
        Self {
            name: name.to_owned(),
            host: server.host.clone().unwrap_or_else(|| name.to_owned()),
            control_port: server.port,
            user: server.user.to_string(),
            mode: match server.mode {
                Mode::Challenge => "challenge",
                Mode::Silent => "silent",
            },
            transport: match (server.mode, server.transport) {
                (Mode::Challenge, Transport::Tcp) => "tcp",
                _ => "udp",
            },
        }
    }
}

impl Report {
    /// The same for people.
    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(server) = &self.server {
            let list: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
            let Section { name, host, user, .. } = server;
            let (port, transport, mode) = (server.control_port, server.transport, server.mode);
            // Writing to a string does not fail.
            _ = writeln!(
                text,
                "configuration: [servers.{name}], user {user}, its key is good"
            );
            _ = writeln!(text, "gate: {host}, {mode} knocks to {transport}/{port}");
            if !list.is_empty() {
                _ = writeln!(text, "addresses: {}", list.join(", "));
            }
        }
        for resource in &self.resources {
            let Resource { name, id, .. } = resource;
            let Some(port) = resource.port else {
                _ = writeln!(text, "{name} ({id}): no port in the configuration to try");
                continue;
            };
            for tcp in &resource.tcp {
                let at = SocketAddr::new(tcp.address, port);
                _ = writeln!(text, "{name} ({id}): {at} {}", tcp.state.explained());
            }
        }
        _ = writeln!(text, "clock: {}", self.clock);
        text
    }
}
