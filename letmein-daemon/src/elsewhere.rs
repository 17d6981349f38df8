//! Interfaces that the XDP program does not run on. Ports are closed there as well, by nftables, but nobody hears a silent
//! knock.

use crate::{
    config::{Config, XdpMode},
    loading,
    netlink::{Link, Links},
    stacking::{covered, hands_over_to, receives_from},
    xdp::{Framing, XdpError},
};
use std::io;

/// `ARPHRD_LOOPBACK` of `linux/if_arp.h`
const LOOPBACK: u16 = 772;

/// The interfaces of this machine whose packets no interface in the configuration receives. None where an interface of the
/// configuration is missing: it is for another machine, or not up yet.
pub fn unheard(config: &Config) -> io::Result<Vec<String>> {
    if !config.gate.silent || config.gate.xdp == XdpMode::Off {
        return Ok(Vec::new());
    }
    let links = Links::open()?.all()?;
    Ok(unlisted(&links, &config.gate.interfaces))
}

fn unlisted(links: &[Link], names: &[String]) -> Vec<String> {
    let there = |name: &String| links.iter().any(|link| link.name == *name);
    if !names.iter().all(there) {
        return Vec::new();
    }
    let unlisted = links.iter().filter(|link| {
        let is_port = hands_over_to(links, link).is_some();
        link.up && link.hardware != LOOPBACK && !is_port && !is_heard(links, names, link, 0)
    });
    unlisted.map(|link| link.name.clone()).collect()
}

fn is_heard(links: &[Link], names: &[String], link: &Link, depth: usize) -> bool {
    // Deeper than any tower of interfaces.
    const DEEPEST: usize = 16;
    names.contains(&link.name)
        || depth < DEEPEST
            && [hands_over_to(links, link), receives_from(links, link)]
                .into_iter()
                .flatten()
                .any(|next| is_heard(links, names, next, depth + 1))
}

/// What is not as the configuration may have meant it, on this machine.
pub fn warnings(config: &Config) -> Result<Vec<String>, XdpError> {
    if config.gate.xdp == XdpMode::Off {
        return Ok(Vec::new());
    }
    let links = loading::links()?;
    let names = &config.gate.interfaces;
    let mut warnings = Vec::new();
    for link in links.iter().filter(|link| names.contains(&link.name)) {
        if let Err(source) = Framing::of(link) {
            let error = anyhow::Error::from(XdpError::Unfit {
                interface: link.name.clone(),
                source,
            });
            warnings.push(format!("letmeind would not start here: {error:#}"));
        }
    }
    warnings.extend(covered(&links, names).iter().map(ToString::to_string));
    if config.gate.silent {
        warnings.extend(about_unheard(config, &unlisted(&links, names)));
    }
    Ok(warnings)
}

/// Says where silent knocks are not heard, and what to do.
#[must_use]
pub fn about_unheard(config: &Config, unheard: &[String]) -> Option<String> {
    if unheard.is_empty() {
        return None;
    }
    let names = unheard.join(", ");
    let otherwise = if config.gate.udp || config.gate.tcp {
        "challenge knocks are heard there"
    } else {
        "nobody can knock there"
    };
    Some(format!(
        "silent knocks are not heard on {names}, as the XDP program does not run there, but ports are closed there as well; \
         {otherwise}; add what users knock on to gate.interfaces"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: i32, name: &str, kind: &str, (master, below): (i32, i32)) -> Link {
        let number = |number| Some(number).filter(|number| *number > 0);
        Link {
            index,
            name: name.to_owned(),
            kind: kind.to_owned(),
            hardware: 1,
            up: true,
            master: number(master),
            below: number(below),
            ..Link::default()
        }
    }

    #[test]
    fn what_no_listed_interface_receives_is_unheard() {
        let mut links = vec![
            link(1, "eth0", "", (4, 0)),
            link(2, "eth1", "", (0, 0)),
            link(3, "eth1.7", "vlan", (0, 2)),
            link(4, "br0", "bridge", (0, 0)),
            link(5, "veth0", "veth", (6, 0)),
            link(6, "docker0", "bridge", (0, 0)),
            link(7, "wg0", "wireguard", (0, 0)),
            link(8, "vx0", "vxlan", (0, 2)),
        ];
        let names = ["br0", "eth1"].map(str::to_owned);
        assert_eq!(unlisted(&links, &names), ["docker0", "wg0", "vx0"]);
        // A port is no way to what the bridge gets from its other ports, nor a VLAN to what has no tag.
        let names = ["eth0", "eth1.7"].map(str::to_owned);
        assert_eq!(unlisted(&links, &names), ["eth1", "br0", "docker0", "wg0", "vx0"]);
        links[6].up = false;
        let names = ["br0", "eth1", "eth7"].map(str::to_owned);
        assert_eq!(unlisted(&links, &names), [] as [&str; 0]);
    }
}
