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
    leases::{Living, Opener, operator_name},
};
use letmein_common::UserId;
use std::{
    io::{self, IsTerminal as _, Write as _},
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
    let key = &lease.grant.key;
    let resource = resource(config, key);
    let (user, operator) = match lease.grant.opener {
        Opener::Unknown => (None, None),
        Opener::Operator(user) => (None, Some(user)),
        Opener::User(id) => (Some(user_name(config, id)), None),
    };
    Lease {
        address: holder(key, resource),
        resource: resource.map_or_else(String::new, |resource| resource.name.clone()),
        opens: opens(key, resource),
        user,
        operator,
        seconds_left: Duration::from_nanos(lease.end.saturating_sub(now)).as_secs(),
    }
}

fn user_name(config: &Config, id: UserId) -> String {
    config
        .user(id)
        .map_or_else(|| id.to_string(), |user| user.name.clone())
}

/// Who has opened something, for people.
pub(super) fn opener_name(config: &Config, opener: Opener) -> String {
    match opener {
        Opener::Unknown => UNKNOWN.to_owned(),
        Opener::User(id) => user_name(config, id),
        Opener::Operator(uid) => operator_name(uid),
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

/// Of whom nobody knows who it is.
const UNKNOWN: &str = "unknown";

/// What there is to do where there are none.
pub(super) const NO_LEASES: &str =
    "nobody may come in: leases come of knocks, and of `letmeind open RESOURCE ADDRESS`";

/// Asks, and prints as it comes.
pub fn run(socket: &Path, json: bool) -> anyhow::Result<()> {
    let mut client = Client::connect(socket)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if json {
        print_json(&mut client, &mut out)?;
    } else {
        print_text(&mut client, &mut out)?;
    }
    Ok(out.flush()?)
}

/// Hands on each page.
fn pages(client: &mut Client, mut each: impl FnMut(&[Lease]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut answer = client.ask(&Request::Leases {})?;
    loop {
        let Answer::Leases { leases, more } = answer else {
            return unexpected(&answer);
        };
        each(&leases)?;
        if !more {
            return Ok(());
        }
        answer = client.more()?;
    }
}

fn print_json(client: &mut Client, out: &mut impl io::Write) -> anyhow::Result<()> {
    write!(out, "{{\"format\":{FORMAT},\"leases\":[")?;
    let mut comma = "";
    pages(client, |leases| {
        for lease in leases {
            write!(out, "{comma}{}", serde_json::to_string(lease)?)?;
            comma = ",";
        }
        Ok(())
    })?;
    Ok(writeln!(out, "]}}")?)
}

fn print_text(client: &mut Client, out: &mut impl io::Write) -> anyhow::Result<()> {
    let mut columns = Columns::default();
    let mut any = false;
    pages(client, |leases| {
        let rows: Vec<_> = leases.iter().map(cells).collect();
        for row in &rows {
            columns.make_room(row);
        }
        if !any && !rows.is_empty() {
            writeln!(out, "{}", columns.line(&HEADER.map(ToOwned::to_owned)))?;
            any = true;
        }
        for row in &rows {
            writeln!(out, "{}", columns.line(row))?;
        }
        Ok(())
    })?;
    if !any {
        writeln!(out, "no leases")?;
        // For whoever looks at it; a script looks for nothing else than that.
        if io::stdout().is_terminal() {
            writeln!(out, "{NO_LEASES}")?;
        }
    }
    Ok(())
}

const HEADER: [&str; 5] = ["ADDRESS", "RESOURCE", "OPENS", "LEFT", "OPENED BY"];

fn cells(lease: &Lease) -> [String; 5] {
    [
        lease.address.as_deref().unwrap_or("everybody").to_owned(),
        lease.resource.clone(),
        lease.opens.clone(),
        time(Duration::from_secs(lease.seconds_left)),
        opened_by(lease),
    ]
}

/// How wide the columns are: as the widest cell so far, as not all of a million leases are waited for.
struct Columns([usize; 4]);

impl Default for Columns {
    /// Wide enough that most of what may come fits in as well.
    fn default() -> Self {
        Self([15, 8, 8, 7])
    }
}

impl Columns {
    fn make_room(&mut self, row: &[String; 5]) {
        for (width, cell) in self.0.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }

    fn line(&self, [address, resource, opens, left, by]: &[String; 5]) -> String {
        let Self([a, r, o, l]) = self;
        format!("{address:<a$}  {resource:<r$}  {opens:<o$}  {left:>l$}  {by}")
    }
}

/// Who has opened it, for people.
pub(super) fn opened_by(lease: &Lease) -> String {
    match (&lease.user, lease.operator) {
        (Some(user), _) => user.clone(),
        (None, Some(uid)) => operator_name(uid),
        (None, None) => UNKNOWN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let row = |words: [&str; 5]| words.map(ToOwned::to_owned);
        let short = row(["192.0.2.1", "ssh", "tcp/22", "58m 59s", "alice"]);
        let long = row([
            "2001:db8:1234:5678:9abc:def0:1234:5678",
            "a-resource-with-a-name",
            "udp/60000-61000",
            "1s",
            "operator (uid 0)",
        ]);
        let mut columns = Columns::default();
        columns.make_room(&short);
        assert_eq!(
            columns.line(&HEADER.map(ToOwned::to_owned)),
            "ADDRESS          RESOURCE  OPENS        LEFT  OPENED BY"
        );
        assert_eq!(
            columns.line(&short),
            "192.0.2.1        ssh       tcp/22    58m 59s  alice"
        );
        columns.make_room(&long);
        let lines = [columns.line(&short), columns.line(&long)];
        let place = |line: &str, word: &str| line.find(word).unwrap();
        assert_eq!(
            place(&lines[0], "alice"),
            place(&lines[1], "operator"),
            "{lines:?}"
        );
    }
}
