//! Sections `[resources.NAME]`.

use super::{firewall::Leases, in_file_order, jump, number};
use crate::config::{
    FirewallSettings, Gate, Resource,
    error::Report,
    names,
    raw::{self, Given, IdText},
};
use crate::firewall::{Jump, PortRange, Protocol};
use letmein_common::ResourceId;
use std::{collections::HashMap, ops::Range};
use toml::Spanned;

/// All resources by name.
pub(super) type Names = HashMap<String, Named>;

/// What users need to know of a resource.
pub(super) struct Named {
    /// None if it has no usable id: naming it is no error.
    pub id: Option<ResourceId>,
    /// Whether it is every user's.
    pub all_users: bool,
}

pub(super) fn check(
    report: &mut Report<'_>,
    given: &raw::Named<raw::Resource>,
    gate: &Gate,
    port_at: Option<Range<usize>>,
    firewall: (&FirewallSettings, &Leases),
) -> (HashMap<ResourceId, Resource>, Names) {
    let (settings, leases) = firewall;
    let mut resources = HashMap::new();
    let mut by_name = Names::new();
    let mut owners = Owners::default();
    let mut claims = Claims {
        gate,
        port_at,
        taken: Vec::new(),
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
        let all_users = resource.all_users.unwrap_or(false);
        by_name.insert(name.to_owned(), Named { id, all_users });
        let lease = leases.resource(report, name, &resource.lease);
        let prefix = format!("the ipv6-prefix of resource {name:?}");
        let ipv6_prefix = number(report, &prefix, &resource.ipv6_prefix, 1..=128, 128);
        let to = jump::check(report, name, resource, settings);
        let ports = claims.ports(report, name, &section.span(), resource, to.is_empty());
        let forward = of_ports(report, name, "forward", &resource.forward, resource);
        let cut = of_ports(report, name, "cut", &resource.cut, resource);
        let shield = leases.shield.resource(report, name, resource, &ports);
        if let Some(id) = id {
            resources.insert(
                id,
                Resource {
                    name: name.to_owned(),
                    ports,
                    ipv6_prefix,
                    forward,
                    cut,
                    jump: (!to.is_empty()).then_some(Jump {
                        resource: id,
                        ipv6_prefix,
                        to,
                    }),
                    lease,
                    shield,
                },
            );
        }
    }
    (resources, by_name)
}

/// An option that is off unless given, and says something about ports.
fn of_ports(
    report: &mut Report<'_>,
    name: &str,
    option: &str,
    given: &Given<bool>,
    resource: &raw::Resource,
) -> bool {
    let Some(given) = given else {
        return false;
    };
    if *given.get_ref() && resource.ports.is_none() {
        let text = format!("resource {name:?} has no ports for {option} to be about; add some, or remove it");
        report.add(&given.span(), text);
    }
    *given.get_ref()
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

/// Which ports belong to whom.
struct Claims<'a> {
    gate: &'a Gate,
    /// Where the control port is configured, if it is not the default.
    port_at: Option<Range<usize>>,
    taken: Vec<Claim>,
}

/// Ports of a resource, and where they are claimed.
struct Claim {
    ports: PortRange,
    resource: String,
    at: Range<usize>,
}

impl Claims<'_> {
    fn ports(
        &mut self,
        report: &mut Report<'_>,
        name: &str,
        section: &Range<usize>,
        resource: &raw::Resource,
        needed: bool,
    ) -> Vec<PortRange> {
        let given = resource.ports.as_ref();
        let list = given.map(|list| list.get_ref().as_slice()).unwrap_or_default();
        if list.is_empty() && needed {
            let at = given.map_or_else(|| section.clone(), Spanned::span);
            report.add(
                &at,
                format!("resource {name:?} has no ports; add some such as ports = [\"tcp/22\"]"),
            );
        }
        let mut ports = Vec::new();
        for written in list {
            match written.get_ref().as_str().parse::<PortRange>() {
                Ok(some) if self.claim(report, name, some, written.span()) => ports.push(some),
                Ok(_taken) => {}
                Err(error) => report.add(&written.span(), format!("resource {name:?}: {error}")),
            }
        }
        ports
    }

    /// Whether the ports are free for the resource.
    fn claim(&mut self, report: &mut Report<'_>, name: &str, ports: PortRange, at: Range<usize>) -> bool {
        let sockets = [
            (Protocol::Tcp, self.gate.tcp),
            (Protocol::Udp, self.gate.udp || self.gate.silent),
        ];
        let control = self.gate.port;
        if sockets
            .iter()
            .any(|(protocol, listens)| *listens && ports.contains(*protocol, control))
        {
            let which = if ports.is_range() { "includes" } else { "is" };
            let line = self.port_at.as_ref().map_or_else(
                || format!(", {control} unless gate.port names another"),
                |at| format!(" (line {})", report.position(at).line),
            );
            let text = format!(
                "resource {name:?} uses {ports}, which {which} the control port{line}; choose another port or change \
                 gate.port"
            );
            report.add(&at, text);
            return false;
        }
        if let Some(taken) = self.taken.iter().find(|taken| taken.ports.overlaps(&ports)) {
            let text = taken.conflict(report, name, ports);
            report.add(&at, text);
            return false;
        }
        self.taken.push(Claim {
            ports,
            resource: name.to_owned(),
            at,
        });
        true
    }
}

impl Claim {
    /// Why `name` cannot have `ports`, some of which are these.
    fn conflict(&self, report: &Report<'_>, name: &str, ports: PortRange) -> String {
        let Self {
            ports: taken,
            resource,
            at,
        } = self;
        let line = report.position(at).line;
        match (*taken == ports, resource == name) {
            (true, true) => format!("resource {name:?} names {ports} twice (line {line}); keep one"),
            (true, false) => format!(
                "resource {name:?} uses {ports}, which belongs to resource {resource:?} (line {line}); a port belongs \
                 to one resource"
            ),
            (false, true) => format!(
                "resource {name:?} names {ports}, which overlaps its {taken} (line {line}); a port is named once"
            ),
            (false, false) => format!(
                "resource {name:?} uses {ports}, which overlaps {taken} of resource {resource:?} (line {line}); a port \
                 belongs to one resource"
            ),
        }
    }
}
