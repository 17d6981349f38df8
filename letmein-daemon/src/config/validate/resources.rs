//! Sections `[resources.NAME]`.

use super::{firewall::Leases, in_file_order};
use crate::config::{
    Gate, Port, Resource,
    error::Report,
    names,
    raw::{self, Given, IdText, PortText},
};
use crate::firewall::Protocol;
use letmein_common::ResourceId;
use std::{collections::HashMap, ops::Range};
use toml::Spanned;

/// The ids of all resources by name; those without a usable id are there too, so that naming them is no error.
pub(super) type Ids = HashMap<String, Option<ResourceId>>;

pub(super) fn check(
    report: &mut Report<'_>,
    given: &raw::Named<raw::Resource>,
    gate: &Gate,
    leases: &Leases,
) -> (HashMap<ResourceId, Resource>, Ids) {
    let mut resources = HashMap::new();
    let mut ids = Ids::new();
    let mut owners = Owners::default();
    let mut claims = Claims {
        gate,
        by_port: HashMap::new(),
    };
    for (name, section) in in_file_order(given) {
        let (name_at, name) = (name.span(), name.get_ref().as_str());
        let resource = section.get_ref();
        if let Err(error) = names::check_own(name) {
            report.add(&name_at, error);
        }
        let id = id(
            report,
            "resource",
            name,
            &section.span(),
            &resource.id,
            &mut owners,
        )
        .map(ResourceId);
        ids.insert(name.to_owned(), id);
        let lease = leases.resource(report, name, &resource.lease);
        let ports = claims.ports(report, name, &section.span(), resource.ports.as_ref());
        let shield = leases.shield.resource(report, name, resource, &ports);
        if let Some(id) = id {
            resources.insert(
                id,
                Resource {
                    name: name.to_owned(),
                    ports,
                    lease,
                    shield,
                },
            );
        }
    }
    (resources, ids)
}

/// Which section has an id already: its name and where it is.
#[derive(Default)]
pub(super) struct Owners(HashMap<u32, (String, Range<usize>)>);

/// The id of a section, unless there is none or another has it. `what` is "resource" or "user".
pub(super) fn id(
    report: &mut Report<'_>,
    what: &str,
    name: &str,
    section: &Range<usize>,
    given: &Given<IdText>,
    owners: &mut Owners,
) -> Option<u32> {
    let Some(written) = given else {
        report.add(
            section,
            format!("{what} {name:?} has no id; add one such as id = \"0000001A\""),
        );
        return None;
    };
    let id = match names::parse_id(written.get_ref().as_str()) {
        Ok(id) => id,
        Err(error) => {
            report.add(&written.span(), format!("the id of {what} {name:?}: {error}"));
            return None;
        }
    };
    if let Some((other, at)) = owners.0.get(&id) {
        let line = report.position(at).line;
        let text = format!(
            "{what} {name:?} has the id {} of {what} {other:?} (line {line}); give it one of its own",
            ResourceId(id)
        );
        report.add(&written.span(), text);
        return None;
    }
    owners.0.insert(id, (name.to_owned(), written.span()));
    Some(id)
}

/// Which port belongs to whom.
struct Claims<'a> {
    gate: &'a Gate,
    by_port: HashMap<Port, (String, Range<usize>)>,
}

impl Claims<'_> {
    fn ports(
        &mut self,
        report: &mut Report<'_>,
        name: &str,
        section: &Range<usize>,
        given: Option<&Spanned<Vec<Spanned<PortText>>>>,
    ) -> Vec<Port> {
        let list = given.map(|list| list.get_ref().as_slice()).unwrap_or_default();
        if list.is_empty() {
            let at = given.map_or_else(|| section.clone(), Spanned::span);
            report.add(
                &at,
                format!("resource {name:?} has no ports; add some such as ports = [\"tcp/22\"]"),
            );
        }
        let mut ports = Vec::new();
        for written in list {
            match written.get_ref().as_str().parse::<Port>() {
                Ok(port) if self.claim(report, name, port, written.span()) => ports.push(port),
                Ok(_taken) => {}
                Err(error) => report.add(&written.span(), format!("resource {name:?}: {error}")),
            }
        }
        ports
    }

    /// Whether the port is free for the resource.
    fn claim(&mut self, report: &mut Report<'_>, name: &str, port: Port, at: Range<usize>) -> bool {
        let listens = match port.protocol {
            Protocol::Tcp => self.gate.tcp,
            Protocol::Udp => self.gate.udp,
        };
        if listens && port.port == self.gate.port {
            let text = format!(
                "resource {name:?} uses {port}, which is the control port; choose another port or change gate.port"
            );
            report.add(&at, text);
            return false;
        }
        if let Some((other, other_at)) = self.by_port.get(&port) {
            let line = report.position(other_at).line;
            let text = if other == name {
                format!("resource {name:?} names {port} twice; keep one")
            } else {
                format!(
                    "resource {name:?} uses {port}, which belongs to resource {other:?} (line {line}); a port belongs \
                     to one resource"
                )
            };
            report.add(&at, text);
            return false;
        }
        self.by_port.insert(port, (name.to_owned(), at));
        true
    }
}
