//! Interfaces of which one hands its packets on to the other. If the XDP program ran on both, it would judge a packet
//! twice, and take a challenge knock for a replay of itself. So it runs on one of them.
//!
//! - A port of a bridge, bond or team hands everything on to that, as do the other ports: the program runs above.
//! - A VLAN, macvlan or ipvlan gets a part of what the interface below receives: the program runs below.

use crate::netlink::Link;
use std::{collections::BTreeSet, fmt};

/// Kinds of interfaces that receive what their ports receive.
const MASTERS: [&str; 3] = ["bridge", "bond", "team"];
/// Kinds of interfaces that receive a part of what the interface below them receives, as it is.
const PARTS: [&str; 5] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"];

/// An interface of the configuration that the program does not run on, as it sees the same packets on another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The interface.
    pub name: String,
    /// Where the program runs instead: in the configuration, too.
    pub by: String,
    /// Whether that is above.
    is_port: bool,
}

impl fmt::Display for Covered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, by) = (&self.name, &self.by);
        let why = if self.is_port {
            format!("{name} is a port of {by}, which receives what {name} receives")
        } else {
            format!("{name} receives a part of what {by} receives")
        };
        write!(
            formatter,
            "gate.interfaces names {name} and {by}, and {why}: the XDP program runs on {by} alone, as it would judge each \
             packet twice; remove {name} from the list"
        )
    }
}

/// Which of the interfaces with these names the program is not to run on. For each of them there is another one with it.
#[must_use]
pub fn covered(links: &[Link], names: &[String]) -> Vec<Covered> {
    let listed: Vec<_> = links.iter().filter(|link| names.contains(&link.name)).collect();
    let reaches = |link: &Link, first: &dyn Fn(&Link, &Link) -> bool| {
        let mut found = BTreeSet::new();
        for next in next_above(links, link).filter(|next| first(link, next)) {
            found.insert(next.index);
            found.extend(same_packets_above(links, next));
        }
        found
    };
    // Ports first: what is below a VLAN may itself be a port.
    let mut covered = Vec::new();
    let ports: Vec<_> = listed
        .iter()
        .map(|link| {
            (
                *link,
                reaches(link, &|link, next| link.master == Some(next.index)),
            )
        })
        .collect();
    let is_port = |link: &Link| {
        let above = ports.iter().find(|(port, _)| port.index == link.index);
        above.is_some_and(|(_, above)| listed.iter().any(|other| above.contains(&other.index)))
    };
    for (port, above) in &ports {
        let by = listed
            .iter()
            .find(|other| above.contains(&other.index) && !is_port(other));
        covered.extend(by.map(|by| Covered {
            name: port.name.clone(),
            by: by.name.clone(),
            is_port: true,
        }));
    }
    let whole: Vec<_> = listed.iter().filter(|link| !is_port(link)).collect();
    let is_above = |link: &Link, other: &Link| {
        reaches(other, &|other, next| other.master != Some(next.index)).contains(&link.index)
    };
    let is_part = |link: &Link| whole.iter().any(|other| is_above(link, other));
    for link in &whole {
        let by = whole
            .iter()
            .find(|other| is_above(link, other) && !is_part(other));
        covered.extend(by.map(|by| Covered {
            name: link.name.clone(),
            by: by.name.clone(),
            is_port: false,
        }));
    }
    covered
}

/// The numbers of all interfaces that receive packets which this one has received.
#[must_use]
pub fn same_packets_above(links: &[Link], link: &Link) -> BTreeSet<i32> {
    climb(links, link.index, |below| {
        next_above(links, below).map(|next| next.index).collect()
    })
}

/// All interfaces above the one with this number, whatever they do with its packets.
pub fn above(links: &[Link], index: i32) -> impl Iterator<Item = &Link> {
    let above = climb(links, index, |below| {
        let above = links.iter().filter(|link| link.below == Some(below.index));
        above.map(|link| link.index).chain(below.master).collect()
    });
    links.iter().filter(move |link| above.contains(&link.index))
}

/// Those right above it that receive what it has received.
fn next_above<'a>(links: &'a [Link], link: &Link) -> impl Iterator<Item = &'a Link> {
    let (index, master) = (link.index, link.master);
    links.iter().filter(move |next| {
        let kind = next.kind.as_str();
        (master == Some(next.index) && MASTERS.contains(&kind))
            || (next.below == Some(index) && PARTS.contains(&kind))
    })
}

/// The interface that receives all that this one receives, as it is a port of it.
#[must_use]
pub fn hands_over_to<'a>(links: &'a [Link], link: &Link) -> Option<&'a Link> {
    next_above(links, link).find(|next| link.master == Some(next.index))
}

/// The interface below, of whose packets this one receives a part.
#[must_use]
pub fn receives_from<'a>(links: &'a [Link], link: &Link) -> Option<&'a Link> {
    let is_part = PARTS.contains(&link.kind.as_str());
    links
        .iter()
        .find(|below| is_part && link.below == Some(below.index))
}

fn climb(links: &[Link], index: i32, next: impl Fn(&Link) -> Vec<i32>) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![index];
    while let Some(index) = waiting.pop() {
        if let Some(link) = links.iter().find(|link| link.index == index) {
            waiting.extend(next(link).into_iter().filter(|next| found.insert(*next)));
        }
    }
    found
}

#[cfg(test)]
#[path = "stacking/tests.rs"]
mod tests;
